// The leader's export of current items, streamed to out/ as CSV and NDJSON; each appears whole or not at all. It takes what
// time the invocation has; a side that falls silent is noticed by the FTP connection.
import { PassThrough, pipeline } from 'node:stream';
import { folders } from '../../contracts/file.ts';
import { routes } from '../../contracts/node-api.ts';
import type { SyncPorts, Work } from './sync-files.ts';

export async function exportItems({ leader, ftp, logger }: SyncPorts, work: Work): Promise<void> {
  for (const format of ['csv', 'ndjson'] as const) {
    const body = await leader.download(
      {
        method: 'GET',
        path: `${routes.export}?format=${format}`,
        timeoutMs: work.deadline - performance.now(),
        traceparent: work.traceparent,
      },
      { deadline: work.deadline },
    );
    let lines = 0;
    const counted = new PassThrough();
    counted.on('data', (chunk: Buffer) => {
      for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, at + 1)) lines += 1;
    });
    counted.pause();
    pipeline(body, counted, () => undefined); // Its error reaches the upload as the stream's own.
    const name = `items.${format}`;
    const bytes = await ftp.write(`${folders.out}/${name}`, counted);
    logger.emit({
      type: 'file.exported',
      name,
      rows: Math.max(0, format === 'csv' ? lines - 1 : lines),
      bytes,
    });
  }
}
