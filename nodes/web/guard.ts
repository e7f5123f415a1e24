// Who may do what on the public listener: Host and Origin of our own (DNS rebinding, other sites' pages), bearer tokens
// with roles, and a cookie session that a one-time key opens. A session is a statement signed with its role's token, so every
// node knows it, also one that was just started (docs/decisions/0048). Never logs a token.
import { createHmac, randomBytes } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import type { Tokens } from '../../contracts/secrets.ts';
import { Failure } from '../../runtime/failure.ts';
import { sameSecret } from '../../runtime/same-secret.ts';

export const roles = ['reader', 'editor', 'operator'] as const satisfies readonly (keyof Tokens)[];
export type Role = (typeof roles)[number];

const keyValidMs = 10 * 60_000;
const sessionValidMs = 12 * 60 * 60_000;
const keysMax = 100; // The oldest goes first.
export const sessionCookie = 'baton-session';

export class Guard {
  readonly #tokens: () => Promise<Tokens>;
  readonly #hosts: () => ReadonlySet<string>;
  readonly #now: () => number;
  /** Until when each is good. */
  readonly #keys = new Map<string, number>();

  /** `hosts`: every `host:port` that this listener is known as. */
  constructor(options: {
    tokens: () => Promise<Tokens>;
    hosts: () => ReadonlySet<string>;
    now?: () => number;
  }) {
    this.#tokens = options.tokens;
    this.#hosts = options.hosts;
    this.#now = options.now ?? Date.now; // Nodes compare each other's sessions with it.
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

  /** Whose session this request brings. For the page to offer what it may do: without an Origin it changes nothing. */
  async sessionRole({ headers }: FastifyRequest): Promise<Role | undefined> {
    const { role, until, signature } = cookiePattern.exec(headers.cookie ?? '')?.groups ?? {};
    const named = roles.find((name) => name === role);
    if (named === undefined || until === undefined || signature === undefined) return undefined;
    if (!sameSecret(signature, sign(named, until, await this.#tokens()))) return undefined;
    return Number(until) * 1_000 > this.#now() ? named : undefined;
  }

  /** A key of this very node. */
  newKey(): string {
    const key = randomBytes(32).toString('hex');
    this.#keys.set(key, this.#now() + keyValidMs);
    for (const oldest of this.#keys.keys()) {
      if (this.#keys.size <= keysMax) break;
      this.#keys.delete(oldest);
    }
    return key;
  }
  /** An operator's session for a key that was not used yet. */
  async openSession(key: string): Promise<string | undefined> {
    const keyUntil = this.#keys.get(key);
    this.#keys.delete(key);
    if (keyUntil === undefined || keyUntil <= this.#now()) return undefined;
    const until = String(Math.floor((this.#now() + sessionValidMs) / 1_000));
    return `operator.${until}.${sign('operator', until, await this.#tokens())}`;
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
    // A cookie travels by itself, so a page of ours has to say that it asked: Origin is checked to be this host.
    return request.headers.origin === undefined ? undefined : await this.sessionRole(request);
  }
}

const cookiePattern = new RegExp(
  `(?:^|; )${sessionCookie}=(?<role>[a-z]+)\\.(?<until>\\d{1,12})\\.(?<signature>[\\w-]{43})(?:;|$)`,
);
/** `until`: in seconds since 1970. */
function sign(role: Role, until: string, tokens: Tokens): string {
  return createHmac('sha256', tokens[role]).update(`baton session\n${role}\n${until}`).digest('base64url');
}
