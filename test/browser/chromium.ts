// The browser of these tests: Debian's headless Chromium, or whatever BATON_CHROMIUM names. Never downloads one.
import { existsSync } from 'node:fs';
import { chromium, type Browser } from 'playwright-core';

const executablePath = process.env['BATON_CHROMIUM'] ?? '/usr/bin/chromium-headless-shell';

/** Why these tests cannot run here; undefined when they can. */
export const noChromium = existsSync(executablePath)
  ? undefined
  : `there is no ${executablePath}: install Debian's chromium-headless-shell, or name a Chromium in BATON_CHROMIUM`;

export function launchChromium(): Promise<Browser> {
  return chromium.launch({ executablePath, args: process.getuid?.() === 0 ? ['--no-sandbox'] : [] });
}
