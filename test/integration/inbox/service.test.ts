// The inbox as `baton up` starts it: the command of its description, its ready line, and its end.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { inboxService } from '../../../emulator/services/inbox/service.ts';
import { makeCertificates } from '../../support/certificates.ts';
import { dialogue } from './dialogue.ts';

let base: string;
beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), 'baton-inbox-'));
});
afterAll(() => rm(base, { recursive: true, force: true }));

test('the described command says when it is ready, greets, and ends on its stop signal', async () => {
  const { certFile, keyFile } = await makeCertificates(base);
  const credentialsFile = join(base, 'credentials.json');
  await writeFile(credentialsFile, JSON.stringify({ username: 'baton', password: 'of the test' }));
  await writeFile(join(base, 'token'), 'token-of-the-test');
  const { command, stopSignal } = inboxService({
    host: '127.0.0.1',
    smtpPort: 0,
    pagePort: 0,
    certFile,
    keyFile,
    credentialsFile,
    folder: join(base, 'mails'),
    tokenFile: join(base, 'token'),
  });
  const child = spawn(command.file, command.args, { env: command.env, stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  try {
    const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
    const ready = JSON.parse(line) as { ready: boolean; address: string };
    expect(ready).toMatchObject({ ready: true, address: expect.stringMatching(/^127\.0\.0\.1:\d+$/) });
    const [greeting] = await dialogue(Number(ready.address.split(':')[1]), []);
    expect(greeting).toMatch(/^220 localhost ESMTP Baton inbox/);
  } finally {
    child.kill(stopSignal);
  }
  expect(await ended).toEqual([0, null]);
});
