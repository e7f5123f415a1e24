// Serves the dashboard: bundled in memory at start, so that there is no build step and no file to go stale.
// Opens the page's session with a one-time key. Never reads a file on request.
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { build } from 'esbuild';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { Failure } from '../../runtime/failure.ts';
import { sessionCookie, type Guard } from './guard.ts';
import { parse } from './internal-server.ts';

export interface Page {
  readonly html: string;
  readonly script: string;
  readonly style: string;
}

const plainHtml =
  '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><title>Baton</title><link rel="stylesheet" href="/app.css"></head><body><div id="app"></div><script type="module" src="/app.js"></script></body></html>';

/** Undefined when `folder` has no page. @throws Error when it has one that cannot be bundled. */
export async function bundlePage(folder: string): Promise<Page | undefined> {
  const entry = join(folder, 'main.tsx');
  if (!existsSync(entry)) return undefined;
  const { outputFiles } = await build({
    entryPoints: [entry],
    bundle: true,
    write: false,
    outdir: '/',
    format: 'esm',
    target: 'es2022',
    minify: true,
    jsx: 'automatic',
    jsxImportSource: 'preact',
    logLevel: 'silent',
  });
  const find = (extension: string) => outputFiles.find(({ path }) => path.endsWith(extension))?.text ?? '';
  const index = join(folder, 'index.html');
  const html = existsSync(index) ? await readFile(index, 'utf8') : plainHtml;
  return { html, script: find('.js'), style: find('.css') };
}

export function addPage(app: FastifyInstance, page: Page | undefined, guard: Guard): void {
  app.get('/', async (request, reply) => {
    const { key } = parse(z.object({ key: z.string().max(100).optional() }), request.query);
    if (key !== undefined) {
      const session = guard.openSession(key);
      if (session === undefined)
        throw new Failure('UNAUTHENTICATED', 'this link was used before, or is too old');
      // The key leaves the address bar and the history with the redirect.
      return reply
        .header('set-cookie', `${sessionCookie}=${session}; Path=/; HttpOnly; SameSite=Strict`)
        .header('referrer-policy', 'no-referrer')
        .redirect('/', 303);
    }
    if (!page) throw new Failure('NOT_FOUND', 'this release has no page');
    return reply.type('text/html; charset=utf-8').header('cache-control', 'no-cache').send(page.html);
  });
  if (!page) return;
  app.get('/app.js', async (_request, reply) =>
    reply.type('text/javascript; charset=utf-8').header('cache-control', 'no-cache').send(page.script),
  );
  app.get('/app.css', async (_request, reply) =>
    reply.type('text/css; charset=utf-8').header('cache-control', 'no-cache').send(page.style),
  );
}
