// The inbox over HTTP, on loopback: pages for people, a JSON API for tests and tools. Host and Origin have to be ours,
// and a change needs the token. Nothing of a mail runs here or loads from anywhere: its HTML is shown in a sandbox.
import { readFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { z } from 'zod';
import { problemMediaType } from '../../../contracts/failures.ts';
import { etagOf } from '../../../runtime/etag.ts';
import { describeError } from '../../../runtime/failure.ts';
import type { Logger } from '../../../runtime/logger.ts';
import { closeServer, isLocalRequest, listenLocally, readBody } from '../../local-http.ts';
import { parseJson } from '../../../runtime/parse-json.ts';
import { sameSecret } from '../../../runtime/same-secret.ts';
import { inboxFaultsSchema, type InboxFault } from './faults.ts';
import { inFrame, listPage, mailPage, messagePage } from './pages.ts';
import { readMail, type ReadMail } from './read-mail.ts';
import type { MailStore } from './mail-store.ts';

export interface WebOptions {
  readonly host: string;
  readonly port: number;
  readonly containerName?: string | undefined;
  readonly tokenFile: string;
  readonly store: MailStore;
  readonly faults: InboxFault[];
  readonly logger: Logger;
}
interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string | Buffer;
  readonly headers?: Readonly<Record<string, string>>;
}

const bodyBytesMax = 64 * 1024;
const ownPolicy =
  "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
// `sandbox` holds for a mail that is opened outside of its frame too: no scripts, no forms, an origin of its own.
const mailPolicy =
  "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'; font-src data:; form-action 'none'; frame-ancestors 'self'";
const html = 'text/html; charset=utf-8';
const plainText = 'text/plain; charset=utf-8';

export async function startWeb(options: WebOptions): Promise<{ url: string; close(): Promise<void> }> {
  const { store, faults, logger } = options;
  const asset = (name: string) => readFile(new URL(name, import.meta.url), 'utf8');
  const assets = new Map<string, Answer>([
    ['/inbox.css', { status: 200, type: 'text/css; charset=utf-8', body: await asset('inbox.css') }],
    ['/refresh.js', { status: 200, type: 'text/javascript; charset=utf-8', body: await asset('refresh.js') }],
  ]);

  const { server, port } = await listenLocally((request, response) => {
    response.on('error', () => undefined); // The reader went away; there is nobody to tell.
    void answer(request).then(
      (answered) => send(request, response, answered),
      (error: unknown) => {
        logger.error(`${request.method} ${request.url}: ${describeError(error)}`);
        send(request, response, problem(500, 'this did not work; the log says why'));
      },
    );
  }, options);

  async function answer(request: IncomingMessage): Promise<Answer> {
    if (!isLocalRequest(request, options.containerName))
      return problem(403, 'the Host or Origin is not this inbox');
    const { pathname } = new URL(request.url ?? '/', 'http://inbox');
    switch (request.method) {
      case 'GET':
      case 'HEAD':
        return await read(pathname);
      case 'DELETE':
      case 'PUT':
        return (await isAllowed(request, options.tokenFile))
          ? await change(request, pathname)
          : problem(401, 'this needs the token of the inbox: Authorization: Bearer ...');
      default:
        return problem(405, 'GET, PUT and DELETE are understood');
    }
  }

  async function read(pathname: string): Promise<Answer> {
    const known = assets.get(pathname);
    if (known) return known;
    if (pathname === '/') return page(listPage(store.list(), faults));
    if (pathname === '/api/mails') return json({ mails: store.list() });
    if (pathname === '/api/faults') return json({ faults });
    const { prefix, id, part } = /^(?<prefix>\/api)?\/mails\/(?<id>\d{1,15})(?:\/(?<part>html|raw))?$/.exec(
      pathname,
    )?.groups ?? { id: '0' };
    const summary = store.find(Number(id));
    const bytes = summary && (await store.bytes(summary.id));
    if (!summary || !bytes)
      return pathname.startsWith('/api/')
        ? problem(404, `there is no ${pathname}`)
        : page(messagePage('Not here', 'This mail is not here any more, or never was.'), 404);
    if (part === 'raw') return { status: 200, type: plainText, body: bytes };
    const mail: ReadMail = { ...summary, ...(await readMail(bytes)) };
    if (part === 'html')
      return mail.html === null
        ? problem(404, 'this mail has no HTML')
        : {
            status: 200,
            type: html,
            body: inFrame(mail.html),
            headers: { 'content-security-policy': mailPolicy },
          };
    return prefix === undefined ? page(mailPage(mail)) : json(mail);
  }

  async function change(request: IncomingMessage, pathname: string): Promise<Answer> {
    if (request.method === 'DELETE' && pathname === '/api/mails') {
      await store.clear();
      return { status: 204, type: plainText, body: '' };
    }
    if (request.method === 'PUT' && pathname === '/api/faults') {
      const body = await readBody(request, bodyBytesMax);
      if (typeof body === 'number') return problem(413, `the body has more than ${bodyBytesMax} bytes`);
      const wanted = inboxFaultsSchema.safeParse(parseJson(body.toString('utf8')));
      if (!wanted.success) return problem(400, z.prettifyError(wanted.error));
      faults.splice(0, Infinity, ...wanted.data);
      return json({ faults });
    }
    return problem(404, `there is no ${request.method} ${pathname}`);
  }

  return { url: `http://${options.host}:${port}`, close: () => closeServer(server) };
}

function send(
  request: IncomingMessage,
  response: ServerResponse,
  { status, type, body, headers }: Answer,
): void {
  const etag = etagOf(body);
  const unmodified = status === 200 && request.headers['if-none-match'] === etag;
  response.writeHead(unmodified ? 304 : status, {
    'content-type': type,
    etag,
    'cache-control': 'no-cache',
    'content-security-policy': ownPolicy,
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    'cross-origin-resource-policy': 'same-origin',
    ...headers,
  });
  response.end(unmodified || request.method === 'HEAD' ? undefined : body);
}

async function isAllowed(request: IncomingMessage, tokenFile: string): Promise<boolean> {
  const given = /^Bearer (?<token>\S{1,512})$/.exec(request.headers.authorization ?? '')?.groups?.['token'];
  if (given === undefined) return false;
  const token = (await readFile(tokenFile, 'utf8')).trim();
  return token !== '' && sameSecret(given, token);
}

const page = (body: string, status = 200): Answer => ({ status, type: html, body });
const json = (body: unknown): Answer => ({
  status: 200,
  type: 'application/json',
  body: JSON.stringify(body),
});
function problem(status: number, detail: string): Answer {
  return {
    status,
    type: problemMediaType,
    body: JSON.stringify({ type: 'about:blank', status, detail }),
  };
}
