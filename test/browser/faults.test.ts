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

beforeAll(async () => {
  if (noChromium === undefined) browser = await launchChromium();
});
afterAll(() => browser?.close());
beforeEach(async (context) => {
  context.skip(noChromium !== undefined, noChromium);
  launcher = await startLauncher();
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

test('without a session nothing is broken, and the page says how to get one', async () => {
  await open('/');
  await panel().locator('summary').click();
  await page.getByRole('button', { name: 'Kill the leader' }).click();
  await expect.poll(outcome).toContain('npm run baton -- open');
  expect(launcher.done).toEqual([]);
});

test('where no launcher is, the page does not offer it', async () => {
  await node.stop();
  node = await serveNode();
  await open('/');
  await page.waitForSelector('.member');
  expect(await panel().count()).toBe(0);
});
