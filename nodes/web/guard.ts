// Who may do what on the public listener: Host and Origin of our own (DNS rebinding, other sites' pages), bearer tokens
// with roles, and a cookie session that a one-time key opens. Never logs a token.
import { randomBytes } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import type { Tokens } from '../../contracts/secrets.ts';
import { Failure } from '../../runtime/failure.ts';
import { sameSecret } from '../../runtime/same-secret.ts';

export const roles = ['reader', 'editor', 'operator'] as const satisfies readonly (keyof Tokens)[];
export type Role = (typeof roles)[number];

const keyValidMs = 10 * 60_000;
const sessionValidMs = 12 * 60 * 60_000;
const kept = 100; // Keys and sessions each; the oldest goes first.
export const sessionCookie = 'baton-session';

export class Guard {
  readonly #tokens: () => Promise<Tokens>;
  readonly #hosts: () => ReadonlySet<string>;
  readonly #keys = new Map<string, number>();
  readonly #sessions = new Map<string, number>();

  /** `hosts`: every `host:port` that this listener is known as. */
  constructor(options: { tokens: () => Promise<Tokens>; hosts: () => ReadonlySet<string> }) {
    this.#tokens = options.tokens;
    this.#hosts = options.hosts;
  }

  /** @throws Failure FORBIDDEN for a Host or Origin that is not ours. */
  checkOrigin(request: FastifyRequest): void {
    const host = request.headers.host ?? '';
    if (!this.#hosts().has(host)) throw new Failure('FORBIDDEN', 'the Host header is not one of this node');
    const { origin } = request.headers;
    if (origin !== undefined && (!URL.canParse(origin) || new URL(origin).host !== host))
      throw new Failure('FORBIDDEN', 'the Origin is not this node');
  }

  /** @throws Failure UNAUTHENTICATED or FORBIDDEN. */
  async require(request: FastifyRequest, wanted: Role): Promise<void> {
    const role = await this.#roleOf(request);
    if (role === undefined) throw new Failure('UNAUTHENTICATED', `this needs a token of role ${wanted}`);
    if (roles.indexOf(role) < roles.indexOf(wanted))
      throw new Failure('FORBIDDEN', `role ${role} may not do this, it needs ${wanted}`);
  }

  /** The token of the caller's role, to act for it towards another node; undefined for a caller without one. */
  async tokenOf(request: FastifyRequest): Promise<string | undefined> {
    const role = await this.#roleOf(request);
    return role === undefined ? undefined : (await this.#tokens())[role];
  }

  newKey(): string {
    return issue(this.#keys, keyValidMs);
  }
  /** A session's id for a key that was not used yet. */
  openSession(key: string): string | undefined {
    if (!isValid(this.#keys, key)) return undefined;
    this.#keys.delete(key);
    return issue(this.#sessions, sessionValidMs);
  }

  async #roleOf(request: FastifyRequest): Promise<Role | undefined> {
    const bearer = /^Bearer (?<token>\S{1,512})$/i.exec(request.headers.authorization ?? '')?.groups?.[
      'token'
    ];
    if (bearer !== undefined) {
      const tokens = await this.#tokens();
      // All are compared, so that the time says nothing about which one was near.
      return roles.filter((role) => sameSecret(bearer, tokens[role])).at(-1);
    }
    const cookie = new RegExp(`(?:^|; )${sessionCookie}=(?<id>[0-9a-f]{64})(?:;|$)`).exec(
      request.headers.cookie ?? '',
    );
    const id = cookie?.groups?.['id'];
    // A cookie travels by itself, so a page of ours has to say that it asked: Origin is checked to be this host.
    if (id === undefined || request.headers.origin === undefined) return undefined;
    return isValid(this.#sessions, id) ? 'operator' : undefined;
  }
}

function issue(store: Map<string, number>, validMs: number): string {
  const id = randomBytes(32).toString('hex');
  store.set(id, performance.now() + validMs);
  for (const oldest of store.keys()) {
    if (store.size <= kept) break;
    store.delete(oldest);
  }
  return id;
}
function isValid(store: ReadonlyMap<string, number>, id: string): boolean {
  const until = store.get(id);
  return until !== undefined && until > performance.now();
}
