// The system a run is about: `baton up` as a user starts it, in a folder of its own, and the ways to it that stay the same
// when it is killed and started again with other ports.
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { request } from 'undici';
import { fileOpenAnswerSchema, routes } from '../../contracts/node-api.ts';
import { readStatus, tellLauncher } from '../../emulator/launcher/ask-launcher.ts';
import type { FaultAction } from '../../emulator/launcher/control.ts';
import { layoutOf, readRecord, type InstanceRecord } from '../../emulator/instance/instance.ts';
import { childrenOf } from '../../emulator/instance/process-table.ts';
import type { BrokerChoice } from '../../emulator/services/describe-broker.ts';
import type { SystemStatus } from '../../emulator/cluster/status.ts';
import { LeaderClient } from '../../functions/leader-client.ts';
import { createSecrets } from '../../runtime/secrets.ts';
import { newTraceparent } from '../../runtime/trace.ts';
import { aLeader, startRunningSystem, type RunningSystem } from '../support/running-system.ts';
import type { DatabaseAddress } from './audit.ts';
import { TcpLink } from './tcp-link.ts';

const controlWithinMs = 5_000;
/** Which function a process runs is read from /proc. */
export const handlersAreFound = process.platform === 'linux';

export class Stage {
  readonly #folder: string;
  readonly #arguments: readonly string[];
  #system: RunningSystem;
  #services: SystemStatus['services'] = [];
  /** Between publishers and the broker, and between readers and each node. */
  readonly brokerLink: TcpLink;
  readonly nodeLinks: readonly TcpLink[];

  private constructor(
    folder: string,
    args: readonly string[],
    system: RunningSystem,
    links: { broker: TcpLink; nodes: readonly TcpLink[] },
  ) {
    this.#folder = folder;
    this.#arguments = args;
    this.#system = system;
    this.brokerLink = links.broker;
    this.nodeLinks = links.nodes;
  }

  /** @throws Error with what `baton up` said when it does not come up. */
  static async start({ folder, broker }: { folder: string; broker: BrokerChoice }): Promise<Stage> {
    const args = ['--no-demo', '--broker', broker];
    const system = await startRunningSystem(args, { folder });
    const stage = new Stage(folder, args, system, {
      broker: await TcpLink.open(0),
      nodes: await Promise.all(system.ready.nodes.map(({ url }) => TcpLink.open(portOf(url)))),
    });
    await stage.#lookAround();
    return stage;
  }

  get inbox(): string {
    return this.#system.ready.inbox;
  }
  get brokerUrl(): string {
    return `amqps://127.0.0.1:${this.brokerLink.port}/`;
  }
  get caFile(): string {
    return join(this.#folder, '.baton', 'tls', 'ca.pem');
  }
  secretFile(name: string): string {
    return join(this.#folder, '.baton', 'secrets', name);
  }
  get launcherPid(): number {
    return this.#system.launcher.pid ?? 0;
  }
  nodes(): { url: string; host: string }[] {
    return this.#system.ready.nodes.map(({ url }, index) => ({
      url: `http://127.0.0.1:${this.nodeLinks[index]?.port}`,
      host: new URL(url).host,
    }));
  }
  async database(): Promise<DatabaseAddress> {
    const address = this.#services.find(({ kind }) => kind === 'database')?.address ?? '';
    return {
      port: portOf(`tcp://${address}`),
      password: await readFile(this.secretFile('database-password'), 'utf8'),
      ca: await readFile(this.caFile, 'utf8'),
    };
  }

  async status(): Promise<SystemStatus> {
    return await readStatus(await this.#record(), controlWithinMs);
  }
  /** @throws Error when there is nothing to do it to, as when it is being started again. */
  async fault(action: FaultAction, target: string): Promise<void> {
    await tellLauncher(await this.#record(), { path: action, target }, controlWithinMs);
  }
  /** A command of `baton chaos`, for a while. @throws Error when it is refused. */
  async disturb(command: string, forMs: number): Promise<void> {
    const fault = { path: 'chaos', command: `${command} for ${forMs}ms` } as const;
    await tellLauncher(await this.#record(), fault, controlWithinMs);
  }
  /** As editor, at the leader. */
  async change(method: 'PUT' | 'POST', path: string, json: unknown): Promise<void> {
    const { leader, nodes } = await aLeader(this);
    const { editor } = JSON.parse(await readFile(this.secretFile('tokens.json'), 'utf8')) as {
      editor: string;
    };
    const { statusCode, body } = await request(`${nodes.find(({ id }) => id === leader)?.url}${path}`, {
      method,
      headers: { authorization: `Bearer ${editor}`, 'content-type': 'application/json' },
      body: JSON.stringify(json),
    });
    const text = await body.text();
    if (statusCode >= 300) throw new Error(`${method} ${path}: ${statusCode} ${text}`);
  }

  /** kill -9 of the supervisor, with all it started still running, and a new start in its folder. */
  async killSupervisor(): Promise<void> {
    const { launcher } = this.#system;
    const exited = new Promise((resolve) => launcher.once('exit', resolve));
    launcher.kill('SIGKILL');
    await exited;
    this.#system = await startRunningSystem(this.#arguments, { folder: this.#folder });
    await this.#lookAround();
  }

  /** Processes that run this function now, where they can be found. */
  async handlers(name: string): Promise<number[]> {
    const { services } = await this.status();
    const pid = services.find(({ kind }) => kind === 'lambda')?.pid;
    if (pid === undefined || pid === null) return [];
    try {
      return childrenOf(pid).filter(
        (child) => readFileSync(`/proc/${child}/cmdline`, 'utf8').split('\0').at(-2) === name,
      );
    } catch {
      return []; // It ended between the two looks.
    }
  }

  /** Handed out by the leader, fenced, as to one that brings a file. @throws Failure when nobody leads until the deadline. */
  async takeIntake(source: string, name: string, { withinMs }: { withinMs: number }): Promise<number> {
    const tls = (file: string): string => pathToFileURL(join(this.#folder, '.baton', 'tls', file)).href;
    const client = new LeaderClient(
      {
        BATON_CLUSTER: 'local',
        BATON_NODE_URLS: this.#system.ready.nodes.map(({ internalUrl }) => internalUrl),
        BATON_DIRECTORY_TABLE: 'unused',
        AWS_REGION: 'us-east-1',
        BATON_TLS_CA_URI: tls('ca.pem'),
        BATON_TLS_CERT_URI: tls('ftp-sync.pem'),
        BATON_TLS_KEY_URI: tls('ftp-sync.key'),
      },
      createSecrets(),
      { read: () => Promise.resolve(undefined), close: () => undefined },
    );
    try {
      const { json } = await client.call(
        {
          method: 'POST',
          path: routes.files,
          json: {
            name: `${source}_${name}.csv`,
            size: 1,
            modifiedAt: '2026-01-01T00:00:00.000Z',
            traceparent: newTraceparent(),
          },
          timeoutMs: 3_000,
        },
        { deadline: performance.now() + withinMs },
      );
      const answer = fileOpenAnswerSchema.parse(json);
      if (answer.kind !== 'upload')
        throw new Error(`the leader gives ${source}_${name}.csv no intake: ${answer.kind}`);
      return answer.intake;
    } finally {
      await client.close();
    }
  }

  async close(): Promise<void> {
    await this.#system.close();
    for (const link of [this.brokerLink, ...this.nodeLinks]) link.close();
  }

  /** Where things are after a start. */
  async #lookAround(): Promise<void> {
    this.#services = (await this.status()).services;
    this.brokerLink.leadTo(portOf(this.#services.find(({ kind }) => kind === 'broker')?.address ?? ''));
    for (const [index, { url }] of this.#system.ready.nodes.entries())
      this.nodeLinks[index]?.leadTo(portOf(url));
  }

  async #record(): Promise<InstanceRecord> {
    const record = await readRecord(layoutOf(join(this.#folder, '.baton')));
    if (!record) throw new Error(`nothing runs in ${this.#folder}`);
    return record;
  }
}

function portOf(url: string): number {
  return Number(new URL(url).port);
}
