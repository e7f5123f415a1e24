// There is no insecure mode: each link of the running system is asked in plain text, as an old or careless client would, and
// has to refuse before anything of value crosses it. Votes are sealed: docs/protocol.md and test/unit/transport.
import { readdirSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startRunningSystem, type RunningSystem } from '../support/running-system.ts';

let system: RunningSystem;

beforeAll(async () => {
  system = await startRunningSystem(['--no-demo', '--broker', 'development']);
});
afterAll(async () => {
  await system?.close();
});

const addressOf = async (kind: string): Promise<{ host: string; port: number }> => {
  const { services } = await system.status();
  const address = services.find((service) => service.kind === kind)?.address ?? '';
  const [host = '', port = ''] = address.replace(/^[a-z]+:\/\//, '').split(':');
  return { host, port: Number(port) };
};

/**
 * Everything the server says until it hangs up, or for a second. `greets`: it speaks first, and wants to be heard out.
 * `until`: it has to say this, which may take it longer. @throws Error when nobody takes the connection: that refuses nothing.
 */
function say(
  { host, port }: { host: string; port: number },
  sent: string | Buffer,
  { greets = false, until }: { greets?: boolean; until?: RegExp } = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    let heard = '';
    let connected = false;
    const socket = connect(port, host);
    socket.once('connect', () => (connected = true));
    socket.once(greets ? 'data' : 'connect', () => socket.write(sent));
    socket.setTimeout(until === undefined ? 1_000 : 10_000, () => socket.destroy());
    socket.on('data', (chunk: Buffer) => {
      heard += chunk.toString('latin1');
      if (until?.test(heard) === true) socket.setTimeout(1_000);
    });
    socket.on('error', () => undefined); // A reset is a refusal too.
    socket.on('close', () =>
      connected ? resolve(heard) : reject(new Error(`nobody listens at ${host}:${port}`)),
    );
  });
}
/** What was said beside an alert of TLS, with which its servers may answer plain text (RFC 8446, section 6). */
const besideAlert = (heard: string): string => (heard.startsWith('\u0015\u0003') ? heard.slice(7) : heard);

describe('plain text is refused', () => {
  test('AMQP: the broker answers no protocol header without TLS', async () => {
    const header = Buffer.from('AMQP\0\0\t\u0001', 'latin1');
    expect(besideAlert(await say(await addressOf('broker'), header))).toBe('');
  });

  test('PostgreSQL: a startup without TLS is refused before a password is asked for', async () => {
    const parameters = 'user\0baton\0database\0baton\0\0';
    const startup = Buffer.alloc(8 + parameters.length);
    startup.writeInt32BE(startup.length, 0);
    startup.writeInt32BE(196_608, 4);
    startup.write(parameters, 8, 'latin1');
    const heard = await say(await addressOf('database'), startup, { until: /no encryption|pg_hba/ });
    expect(heard[0]).toBe('E');
    expect(heard).toMatch(/no encryption|pg_hba/);
  });

  test('FTP: a login without TLS is refused', async () => {
    const heard = await say(await addressOf('ftp'), 'USER partner\r\nPASS x\r\n', { until: /^5\d\d/m });
    expect(heard).not.toMatch(/^(?:230|331)/m);
    expect(heard).toMatch(/^5\d\d/m);
  });

  test('SMTP: neither a login nor a mail is taken before STARTTLS', async () => {
    const heard = await say(
      await addressOf('smtp'),
      'EHLO test\r\nAUTH LOGIN\r\nMAIL FROM:<a@example.test>\r\n',
      { greets: true, until: /^5\d\d/m },
    );
    expect(heard).not.toMatch(/^(?:235|334)/m);
    expect(heard).toMatch(/^5\d\d/m);
  });

  test('the internal listener answers no HTTP request without TLS', async () => {
    for (const { internalUrl } of system.ready.nodes) {
      const { hostname, port } = new URL(internalUrl);
      const heard = await say(
        { host: hostname, port: Number(port) },
        `GET /internal/export HTTP/1.1\r\nHost: x\r\n\r\n`,
      );
      expect(besideAlert(heard)).toBe('');
    }
  });
});

test('no password, token or key of .baton/secrets stands in a log', async () => {
  const folder = join(system.folder, '.baton');
  const secrets = readdirSync(join(folder, 'secrets')).flatMap((name) =>
    [...readFileSync(join(folder, 'secrets', name), 'utf8').matchAll(/[\w+/-]{20,}={0,2}/g)].map(
      ([secret]) => secret,
    ),
  );
  expect(secrets.length).toBeGreaterThan(6);
  for (const name of readdirSync(join(folder, 'logs'))) {
    const log = readFileSync(join(folder, 'logs', name), 'utf8');
    expect(
      secrets.filter((secret) => log.includes(secret)),
      name,
    ).toEqual([]);
  }
});
