// One page or packed sitemap over HTTP: conditional, capped in bytes, time and redirects, never to a private address unless the
// settings name it. Never throws for what a site does: every outcome is a value.
import type { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { createBrotliDecompress, createGunzip, createInflate, gunzip } from 'node:zlib';
import { isIP } from 'node:net';
import { Agent, request, type Dispatcher } from 'undici';
import { describeError } from '../../runtime/failure.ts';
import { decodePage } from './decode-page.ts';
import { isPublicAddress, lookupPublic, PrivateAddressError } from './public-address.ts';
import { userAgent } from './robots.ts';

export interface Validators {
  readonly etag: string | null;
  readonly lastModified: string | null;
}
export type Fetched =
  | {
      readonly kind: 'page';
      /** After redirects. */
      readonly url: string;
      readonly body: string;
      readonly validators: Validators;
      /** About the charset, when its label was wrong. */
      readonly note: string | undefined;
    }
  | { readonly kind: 'not-modified' }
  /** 404 and 410: the page is no more. */
  | { readonly kind: 'gone'; readonly reason: string }
  /** 429 and 503. */
  | { readonly kind: 'wait'; readonly afterMs: number; readonly reason: string }
  /** `unreachable`: no answer at all, which a whole host may share. */
  | { readonly kind: 'failed'; readonly reason: string; readonly unreachable: boolean };

export interface FetchLimits {
  readonly bytesMax: number;
  /** Time from the request to the last byte, redirects included. */
  readonly totalMs: number;
  readonly headersMs: number;
  readonly redirectsMax: number;
}
export const fetchLimitsDefault: FetchLimits = {
  bytesMax: 5 * 1024 * 1024,
  totalMs: 20_000,
  headersMs: 10_000,
  redirectsMax: 5,
};
const connectMs = 5_000;
const waitMsDefault = 5_000; // For a 429 or 503 that names no time.

export interface FetchPageRequest {
  readonly url: string;
  readonly validators?: Validators | undefined;
  /** Asked for every redirect's target: a reason to refuse it, or undefined. */
  readonly refuses?: (url: string) => Promise<string | undefined>;
  /** Any text type, for robots.txt. */
  readonly anyText?: boolean;
  readonly bytesMax?: number;
  /** Below the limit of the fetcher: what is left to whoever asks. */
  readonly totalMs?: number;
}
export interface PageFetcher {
  fetchPage(what: FetchPageRequest): Promise<Fetched>;
  close(): Promise<void>;
}

/**
 * @param privateHosts `host:port` pairs that may lie on a private address.
 * @param contact where a shop asks who reads it.
 */
export function createPageFetcher({
  privateHosts,
  contact,
  limits = fetchLimitsDefault,
}: {
  privateHosts: readonly string[];
  contact?: string | undefined;
  limits?: FetchLimits;
}): PageFetcher {
  const settings = { connections: 4, keepAliveTimeout: 4_000, maxHeaderSize: 32 * 1024 };
  const guarded = new Agent({ ...settings, connect: { lookup: lookupPublic, timeout: connectMs } });
  const agent = userAgent(contact);
  const unguarded = new Agent({ ...settings, connect: { timeout: connectMs } });

  function dispatcherFor(url: URL): Dispatcher {
    if (privateHosts.includes(hostAndPort(url))) return unguarded;
    const host = url.hostname.replace(/^\[|\]$/gu, '');
    // A literal address is never looked up, so the guard of the lookup would not see it.
    if (isIP(host) !== 0 && !isPublicAddress(host)) throw new PrivateAddressError(url.host, host);
    return guarded;
  }

  async function fetchPage(what: FetchPageRequest): Promise<Fetched> {
    const totalMs = Math.max(1, Math.floor(Math.min(limits.totalMs, what.totalMs ?? limits.totalMs)));
    const signal = AbortSignal.timeout(totalMs);
    let url = what.url;
    try {
      for (let redirects = 0; redirects <= limits.redirectsMax; redirects++) {
        const parsed = new URL(url);
        if (parsed.protocol !== 'http:' && parsed.protocol !== 'https:')
          return failed(`${parsed.protocol} is not http or https`);
        const answer = await request(parsed, {
          dispatcher: dispatcherFor(parsed),
          headers: { 'user-agent': agent, ...requestHeaders(what.validators) },
          signal,
          headersTimeout: limits.headersMs,
          bodyTimeout: limits.headersMs,
        });
        const location = header(answer, 'location');
        if (![301, 302, 303, 307, 308].includes(answer.statusCode) || location === undefined)
          return await readAnswer(answer, { what, url, limits });
        discard(answer.body);
        url = new URL(location, parsed).href;
        const refusal = await what.refuses?.(url);
        if (refusal !== undefined) return failed(`redirected to ${url}: ${refusal}`);
      }
      return failed(`more than ${limits.redirectsMax} redirects`);
    } catch (error) {
      if (signal.aborted) return unreachable(`no whole answer within ${totalMs} ms`);
      return unreachable(describeError(error));
    }
  }
  return {
    fetchPage,
    async close() {
      await Promise.all([guarded.destroy(), unguarded.destroy()]);
    },
  };
}

async function readAnswer(
  answer: Dispatcher.ResponseData,
  { what, url, limits }: { what: FetchPageRequest; url: string; limits: FetchLimits },
): Promise<Fetched> {
  const contentType = header(answer, 'content-type');
  const status = answer.statusCode;
  const drop = () => discard(answer.body);
  if (status === 304) {
    drop();
    return { kind: 'not-modified' };
  }
  if (status === 429 || status === 503) {
    drop();
    return { kind: 'wait', afterMs: retryAfterMs(header(answer, 'retry-after')), reason: `HTTP ${status}` };
  }
  if (status === 404 || status === 410) {
    drop();
    return { kind: 'gone', reason: `HTTP ${status}` };
  }
  const bytesMax = what.bytesMax ?? limits.bytesMax;
  const refusal =
    statusRefusal(status) ??
    (what.anyText === true ? undefined : typeRefusal(contentType, url)) ??
    lengthRefusal(answer, bytesMax);
  if (refusal !== undefined) {
    drop();
    return failed(refusal);
  }
  const read = await readCapped(answer, bytesMax);
  const bytes = read && isPacked(read) ? await unpackCapped(read, bytesMax) : read;
  if (bytes === undefined) return failed(`larger than ${bytesMax} bytes`);
  if (what.anyText !== true && !looksLikeMarkup(bytes)) return failed('not HTML, whatever its type says');
  const { text, note } = decodePage(bytes, contentType);
  return {
    kind: 'page',
    url,
    body: text,
    note,
    validators: {
      etag: header(answer, 'etag') ?? null,
      lastModified: header(answer, 'last-modified') ?? null,
    },
  };
}

function statusRefusal(status: number): string | undefined {
  return status < 200 || status > 299 ? `HTTP ${status}` : undefined;
}
function typeRefusal(contentType: string | undefined, url: string): string | undefined {
  if (contentType === undefined) return undefined;
  if (
    /^\s*(?:text\/html|application\/xhtml\+xml|(?:text|application)\/xml|application\/(?:x-)?gzip)\b/iu.test(
      contentType,
    )
  )
    return undefined;
  // What nginx says of a sitemap.xml.gz unless it is told otherwise.
  if (/^\s*application\/octet-stream\b/iu.test(contentType) && new URL(url).pathname.endsWith('.gz'))
    return undefined;
  return `not HTML: ${contentType.slice(0, 80)}`;
}
function lengthRefusal(answer: Dispatcher.ResponseData, bytesMax: number): string | undefined {
  const length = Number(header(answer, 'content-length') ?? 0);
  return length > bytesMax ? `${length} bytes announced, ${bytesMax} allowed` : undefined;
}

/** A page holds a tag and, save for UTF-16, no NUL byte. */
function looksLikeMarkup(bytes: Buffer): boolean {
  if (bytes.length === 0) return true;
  const start = bytes.subarray(0, 4_096);
  const isUtf16 = (start[0] === 0xff && start[1] === 0xfe) || (start[0] === 0xfe && start[1] === 0xff);
  return start.includes(0x3c) && (isUtf16 || !start.includes(0));
}

/** @returns undefined above the cap, counted after decompression. */
async function readCapped(answer: Dispatcher.ResponseData, bytesMax: number): Promise<Buffer | undefined> {
  const body: Readable = answer.body;
  const decoder = decoderFor(header(answer, 'content-encoding'));
  // A broken connection must end the decoder too, or the loop below would wait for ever.
  if (decoder) body.on('error', (error) => decoder.destroy(error));
  const readable: Readable = decoder ? body.pipe(decoder) : body;
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of readable as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > bytesMax) {
      discard(body);
      return undefined;
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, length);
}
/** A file that was packed before it was sent, as sitemaps are: no content-encoding tells of it. */
function isPacked(bytes: Buffer): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b;
}
/** @returns undefined above the cap. */
async function unpackCapped(bytes: Buffer, bytesMax: number): Promise<Buffer | undefined> {
  try {
    return await promisify(gunzip)(bytes, { maxOutputLength: bytesMax });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') return undefined;
    throw error;
  }
}
/** An unread body that is destroyed reports an abort, which nobody else listens for; the outcome is decided by then. */
function discard(body: Readable): void {
  body.on('error', () => undefined).destroy();
}
function decoderFor(encoding: string | undefined) {
  switch (encoding?.trim().toLowerCase()) {
    case 'gzip':
    case 'x-gzip':
      return createGunzip();
    case 'br':
      return createBrotliDecompress();
    case 'deflate':
      return createInflate();
    case undefined:
    case '':
    case 'identity':
      return undefined;
    default:
      throw new Error(`content-encoding ${encoding?.slice(0, 40)} is not one we asked for`);
  }
}

function requestHeaders(validators: Validators | undefined): Record<string, string> {
  return {
    accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,text/plain;q=0.5',
    'accept-encoding': 'gzip, deflate, br',
    ...(validators?.etag ? { 'if-none-match': validators.etag } : {}),
    ...(validators?.lastModified ? { 'if-modified-since': validators.lastModified } : {}),
  };
}
function header(answer: Dispatcher.ResponseData, name: string): string | undefined {
  const value = answer.headers[name];
  return Array.isArray(value) ? value[0] : value;
}

/** RFC 9110 section 10.2.3: seconds or a date. */
export function retryAfterMs(value: string | undefined, now: () => number = Date.now): number {
  if (value === undefined) return waitMsDefault;
  if (/^\s*\d{1,9}\s*$/u.test(value)) return Number(value) * 1_000;
  const at = Date.parse(value);
  return Number.isNaN(at) ? waitMsDefault : Math.max(0, at - now());
}

export function hostAndPort(url: URL): string {
  return `${url.hostname}:${url.port || (url.protocol === 'https:' ? '443' : '80')}`;
}
function failed(reason: string): Fetched {
  return { kind: 'failed', reason, unreachable: false };
}
function unreachable(reason: string): Fetched {
  return { kind: 'failed', reason, unreachable: true };
}
