// Serves the dashboard: bundled in memory at start, so that there is no build step and no file to go stale.
// Opens the page's session with a one-time key. Never reads a file on request.
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { build } from 'esbuild';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { sessionKeySchema, type SessionKey } from '../../contracts/public-api.ts';
import { publicRoutes } from '../../contracts/public-routes.ts';
import { etagOf } from '../../runtime/etag.ts';
import { Failure } from '../../runtime/failure.ts';
import { sessionCookie, type Guard } from './guard.ts';
import type { Operation } from './openapi.ts';
import { parse } from './parse-request.ts';

export interface Page {
  readonly html: string;
  readonly script: string;
  readonly style: string;
}

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
  const html = await readFile(join(folder, 'index.html'), 'utf8');
  return { html, script: find('.js'), style: find('.css') };
}

export const pageOperations: readonly Operation[] = [
  {
    method: 'post',
    path: publicRoutes.sessionKeys,
    summary: 'A one-time key that opens the page',
    role: 'operator',
    answer: sessionKeySchema,
    status: 201,
  },
];

export function addPage(app: FastifyInstance, page: Page | undefined, guard: Guard): void {
  const html = asset('text/html', page?.html);
  const script = asset('text/javascript', page?.script);
  const style = asset('text/css', page?.style);
  app.get('/', async (request, reply) => {
    const { key } = parse(z.object({ key: z.string().max(100).optional() }), request.query);
    if (key !== undefined) {
      const session = await guard.openSession(key);
      if (session === undefined) return refuseLink(request, reply);
      const secure = request.protocol === 'https' ? '; Secure' : ''; // As a proxy in front says.
      // The key leaves the address bar and the history with the redirect.
      return reply
        .header('set-cookie', `${sessionCookie}=${session}; Path=/; HttpOnly; SameSite=Strict${secure}`)
        .header('referrer-policy', 'no-referrer')
        .redirect('/', 303);
    }
    if (!page) throw new Failure('NOT_FOUND', 'this release has no page');
    return answer(request, reply, html);
  });
  app.post(publicRoutes.sessionKeys, async (request, reply) => {
    await guard.require(request, 'operator');
    return reply.code(201).send({ key: guard.newKey(), cookie: sessionCookie } satisfies SessionKey);
  });
  if (!page) return;
  app.get('/app.js', async (request, reply) => answer(request, reply, script));
  app.get('/app.css', async (request, reply) => answer(request, reply, style));
}

/** A browser shows people what it gets. @throws Failure UNAUTHENTICATED for a program. */
function refuseLink(request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const why = 'this link was used before, or is too old';
  if (!request.headers.accept?.includes('text/html')) throw new Failure('UNAUTHENTICATED', why);
  return reply.code(401).header('www-authenticate', 'Bearer').type('text/html; charset=utf-8')
    .send(`<!doctype html><html lang="en"><title>Baton</title><meta name="viewport" content="width=device-width">
<p>Not opened as operator: ${why}.
<p><code>npm run baton -- open</code> prints a new one. <a href="/">The page, read-only</a>
`);
}

interface Asset {
  readonly type: string;
  readonly body: string;
  readonly etag: string;
}
function asset(type: string, body = ''): Asset {
  return { type, body, etag: etagOf(body) };
}
/** Asked about at each load, so that a new release shows at once, and sent only when it is another one. */
function answer(request: FastifyRequest, reply: FastifyReply, { type, body, etag }: Asset): FastifyReply {
  reply.header('etag', etag).header('cache-control', 'no-cache');
  if (request.headers['if-none-match'] === etag) return reply.code(304).send();
  return reply.type(`${type}; charset=utf-8`).send(body);
}
