// Votes on a disk like EFS: 50 ms until a record is durable, twice for each. The timeouts of AWS are those of the laptop, so
// elections have to end with them, and a leader has to stay.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { nodes } from '../../../contracts/topology.ts';
import { RaftCluster } from '../../support/raft-cluster.ts';

/** A hundred times the election timeout: on a busy machine the point is that it ends, not how soon. */
const electedWithinMs = 30_000;

let folder: string;
let log: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'baton-slow-disk-'));
  log = join(folder, 'syncs');
  process.env['SLOW_DISK_LOG'] = log;
  process.env['NODE_OPTIONS'] = `--require ${fileURLToPath(new URL('slow-disk.cjs', import.meta.url))}`;
});
afterAll(() => {
  delete process.env['SLOW_DISK_LOG'];
  delete process.env['NODE_OPTIONS'];
  rmSync(folder, { recursive: true, force: true });
});

test(
  'slow disk: a leader is elected, stays, and is followed by another when its process dies',
  { timeout: 60_000 },
  async () => {
    const { heartbeatMs, electionTimeoutMs } = nodes;
    const cluster = await RaftCluster.start({ nodes: 3, heartbeatMs, electionTimeoutMs, links: false });
    try {
      const first = await cluster.settled();
      // Every vote and term was written this slowly; a test on a quick disk would show nothing.
      expect(readFileSync(log).length).toBeGreaterThanOrEqual(2);
      await new Promise((resolve) => setTimeout(resolve, 10 * electionTimeoutMs));
      const after = await cluster.settled();
      // A disk that were too slow for the timeouts would cost a term in each; a busy machine stands still now and then.
      expect(after.term - first.term).toBeLessThanOrEqual(5);
      const written = readFileSync(log).length;
      cluster.signal(after.id, 'SIGKILL');
      const second = await cluster.elections.after(after.term, electedWithinMs);
      expect(second.id).not.toBe(after.id);
      expect(readFileSync(log).length).toBeGreaterThan(written);
      // With elections that outlast their timeouts it would be a hundred.
      expect(second.term - after.term).toBeLessThanOrEqual(20);
    } finally {
      await cluster.close();
    }
  },
);
