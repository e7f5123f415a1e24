// Breaking the system from its page, in a real browser, through a real node and the launcher's real control listener.
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { startLauncher } from '../support/launcher.ts';
import { violations } from './accessibility.ts';
import { launchChromium, noChromium } from './chromium.ts';
import { serveNode, type ServedNode } from './served-node.ts';

let browser: Browser | undefined;
let launcher: Awaited<ReturnType<typeof startLauncher>>;
let node: ServedNode;
let page: Page;
/** As soon as it is carried out, and before the answer. */
let onFault: (what: string) => void;

beforeAll(async () => {
  if (noChromium === undefined) browser = await launchChromium();
});
afterAll(() => browser?.close());
beforeEach(async (context) => {
  context.skip(noChromium !== undefined, noChromium);
  onFault = () => undefined;
  launcher = await startLauncher({ onFault: (what) => onFault(what) });
  node = await serveNode({ launcher: launcher.forNodes });
  node.become({ kind: 'leader' }, 7);
});
afterEach(async () => {
  await page?.context().close();
  await node?.stop();
  await launcher?.close();
});

async function open(path: string): Promise<void> {
  if (!browser) throw new Error('no browser was started');
  page = await (await browser.newContext({ locale: 'en-GB' })).newPage();
  await page.goto(node.url + path);
  await page.waitForSelector('[data-connection="live"]');
}
const panel = () => page.locator('.faults');
const outcome = () => panel().locator('.outcome').innerText();

test('a button freezes the leader, the fault stands there, and one click heals it', async () => {
  await open(`/?key=${node.newKey()}`);
  await panel().locator('summary').click();
  await page.getByRole('button', { name: 'Freeze the leader for 10 s' }).click();
  await expect.poll(outcome).toContain('pause node-1');
  // The launcher tells every node's page of a fault; then it is asked for.
  node.show({ type: 'fault.injected', target: 'node-1', action: 'pause', detail: null }, 'emulator');
  await expect.poll(() => panel().locator('li').allInnerTexts()).toHaveLength(1);
  expect(await violations(page)).toEqual([]);
  await page.getByRole('button', { name: 'Heal all' }).click();
  await expect.poll(outcome).toContain('healed: pause node-1');
  expect(launcher.done.filter((what) => what !== 'links')).toEqual(['pause node-1', 'resume node-1']);
});

test('what is typed is understood, or answered with what can be said', async () => {
  await open(`/?key=${node.newKey()}`);
  await panel().locator('summary').click();
  await panel().locator('input').fill('partition node-1 / node-2 one-way for 5s');
  await panel().getByRole('button', { name: 'Break', exact: true }).click();
  await expect.poll(outcome).toContain('partition node-1 / node-2 one-way');
  await panel().locator('input').fill('explode');
  await panel().getByRole('button', { name: 'Break', exact: true }).click();
  await expect.poll(outcome).toMatch(/no fault "explode".*heal \[<number>\]/s);
});

test('without a session the page offers nothing to break, and says how to get one', async () => {
  await open('/');
  await panel().locator('summary').click();
  expect(await panel().innerText()).toContain('npm run baton -- open');
  expect(await panel().locator('button').count()).toBe(0);
});

test('the leader that is killed from its own page is said to be struck, and its operator goes on when it is back', async () => {
  await open(`/?key=${node.newKey()}`);
  await panel().locator('summary').click();
  onFault = (what) => {
    if (!what.startsWith('kill')) return;
    onFault = () => undefined;
    node.cutStreams();
    void node.stop();
  };
  await page.getByRole('button', { name: 'Kill the leader' }).click();
  await expect.poll(outcome).toContain('It struck node-1, which shows this page and so could not answer');
  expect(await panel().locator('.outcome.bad').count()).toBe(0);
  await page.waitForSelector('.banner');
  // A new process, which remembers nothing.
  await node.start();
  await page.waitForSelector('[data-connection="live"]');
  await expect.poll(outcome).toContain('and is back');
  await page.getByRole('button', { name: 'Freeze the leader for 10 s' }).click();
  await expect.poll(outcome).toContain('pause node-1');
  expect(await panel().locator('.outcome.bad').count()).toBe(0);
});

test('the services stand as the launcher sees them now, whatever was told or missed', async () => {
  const service = (name: string, state = 'up') => ({ name, state, address: '', restarts: 0, lastEnd: null });
  launcher.services.push(
    service('node-2', 'paused'),
    { ...service('broker'), address: 'amqps://127.0.0.1:1' },
    {
      ...service('lambda', 'restarting'),
      address: 'http://127.0.0.1:2',
      restarts: 2,
      lastEnd: 'ended by SIGKILL',
    },
  );
  await open('/');
  const card = page.locator('.member', { hasText: 'node-2' });
  await expect.poll(() => card.innerText()).toContain('Down (paused)');
  expect(await page.locator('.services li').allInnerTexts()).toEqual([
    expect.stringMatching(/^broker up\s+amqps:\/\/127.0.0.1:1$/),
    expect.stringMatching(/^lambda restarting\s+http:\/\/127.0.0.1:2\s+ended by SIGKILL; restarted 2 times$/),
  ]);
  expect(await page.locator('.services a').getAttribute('href')).toBe('http://127.0.0.1:2');
  expect(await violations(page)).toEqual([]);
  // No event says so: the node was frozen itself when the launcher told it.
  node.heardMsAgo.set('node-2', 20);
  launcher.services[0] = service('node-2');
  await expect.poll(() => card.getAttribute('data-standing'), { timeout: 10_000 }).toBe('follower');
  // And what it said last is not believed when it says nothing any more.
  launcher.services[0] = service('node-2', 'paused');
  await expect.poll(() => card.getAttribute('data-standing'), { timeout: 10_000 }).toBe('down');
  await launcher.close();
  await expect.poll(() => card.getAttribute('data-standing'), { timeout: 10_000 }).toBe('follower');
  expect(await page.locator('.services').innerText()).toContain('The launcher does not answer.');
});

test('where no launcher is, the page does not offer it', async () => {
  await node.stop();
  node = await serveNode();
  await open('/');
  await page.waitForSelector('.member');
  expect(await panel().count()).toBe(0);
  expect(await page.locator('.services').count()).toBe(0);
});
