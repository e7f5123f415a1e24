// "Try to break it" of the README, typed line by line into one system: whoever leads by then, each line does what the
// comment behind it says.
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually, startRunningSystem, type RunningSystem } from '../support/running-system.ts';

const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
const section = /^## Try to break it$(?<body>.+?)^## /ms.exec(readme)?.groups?.['body'] ?? '';
const block = /```sh\n(?<block>[^`]*)```/.exec(section)?.groups?.['block'] ?? '';
const typed = block
  .split('\n')
  .flatMap((line) => /^npm run baton -- (?<command>[^#]+?)\s+#/.exec(line)?.groups?.['command'] ?? []);

const soonMs = 20_000;
let system: RunningSystem;
beforeAll(async () => {
  system = await startRunningSystem(['--no-demo', '--broker', 'development']);
});
afterAll(async () => {
  await system?.close();
});

const leads = (): Promise<string | null> => system.status().then(({ leader }) => leader);
const anotherLeads = (than: string | null): Promise<string | null> =>
  eventually(`another leader than ${than}`, leads, (leader) => leader !== null && leader !== than, soonMs);
const stateOf = async (name: string): Promise<string | undefined> =>
  (await system.status()).services.find((service) => service.name === name)?.state;

/** What is to be seen after each; `leader` led before it. */
const seen: Readonly<Record<string, (said: string, leader: string | null) => Promise<unknown>>> = {
  status: async (said, leader) => expect(said).toContain(`${leader} leads in term`),
  nodes: async (said) => expect(said.match(/^\W*node-\d /gm)).toHaveLength(3),
  history: async (said, leader) => expect(said).toContain(leader),
  'kill leader': async (said, leader) => {
    expect(said).toContain(`killed ${leader} (pid`);
    await anotherLeads(leader);
    await eventually(
      `${leader} again`,
      () => stateOf(String(leader)),
      (state) => state === 'up',
      soonMs,
    );
  },
  'kill broker': async () => {
    await eventually(
      'the broker again',
      () => stateOf('broker'),
      (state) => state === 'up',
      soonMs,
    );
  },
  'pause leader': async (said, leader) => {
    expect(said).toContain(`paused ${leader} (pid`);
    await anotherLeads(leader);
  },
  resume: async (said) => {
    expect(said).toMatch(/^resumed node-\d \(pid \d+\)\n$/);
    expect((await system.status()).services.filter(({ state }) => state !== 'up')).toEqual([]);
    expect((await system.baton('resume')).stdout).toBe('nothing is paused\n');
  },
  'chaos partition leader': async (said, leader) => {
    expect(said).toContain(`partition ${leader}`);
    await anotherLeads(leader);
  },
  'chaos heal': async (said) => expect(said).toContain('healed: partition node-'),
  transfer: async (said) => {
    const node = /node-\d/.exec(said)?.[0];
    expect(await leads()).toBe(node);
  },
};

test('the README names what is tried here', () => {
  expect(typed).toEqual(Object.keys(seen));
});

test.each(typed)('%s', async (command) => {
  const before = await eventually('a leader', leads, (leader) => leader !== null, soonMs);
  const { code, stdout, stderr } = await system.baton(...command.split(' '));
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  await seen[command]?.(stdout, before);
});
