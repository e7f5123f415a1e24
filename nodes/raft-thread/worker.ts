// Entry of the raft thread: socket, timers and vote file of one node, with the election core in the middle.
// Everything that decides is elsewhere; what is thrown here ends the thread, and with it the node.
import { parentPort, workerData } from 'node:worker_threads';
import { randomInt } from 'node:crypto';
import { describeError } from '../../runtime/failure.ts';
import { MainThreadWatch } from './main-thread-watch.ts';
import { initialState } from '../raft/state.ts';
import { step, view } from '../raft/step.ts';
import type { Config, Health } from '../raft/types.ts';
import { RaftLoop } from './loop.ts';
import { raiseThisThread } from './priority.ts';
import { Standstills } from './standstills.ts';
import {
  stallLimitMs,
  type FromWorker,
  type RaftProblem,
  type RaftStatus,
  type RaftWorkerData,
  type ToWorker,
} from './messages.ts';
import { openNetwork, type Network } from '../transport/network.ts';
import { openVoteFile } from '../identity/vote-file.ts';

const statusEveryMs = 200;
const healthCheckEveryMs = 50;
/** Turns of the event loop that let queued datagrams in; libuv takes 32 per socket and turn. */
const drainTurnsMax = 32;

const port = parentPort;
if (!port) throw new Error('raft-thread/worker.ts runs as a worker thread');
const tell = (message: FromWorker): void => port.postMessage(message);
const options = workerData as RaftWorkerData;
const now = (): number => performance.now();

async function run(): Promise<void> {
  const { nodeId, bootId, members, generation, heartbeatMs, electionTimeoutMs } = options;
  const voteFile = openVoteFile(options);
  const config: Config = {
    id: nodeId,
    boot: bootId,
    voters: members.filter(({ voter }) => voter).map(({ id }) => id),
    learners: members.filter(({ voter }) => !voter).map(({ id }) => id),
    generation,
    heartbeatMs,
    electionTimeoutMs,
    priority: options.priority,
  };
  let network: Network | undefined;
  const loopCounters: Record<string, number> = {};
  const onProblem = (problem: RaftProblem): void => tell({ kind: 'problem', ...problem });
  const standstills = new Standstills({ electionTimeoutMs, now, tell: onProblem });
  const loop = new RaftLoop({
    core: { initial: initialState(config), step, view },
    recovered: voteFile.recovered,
    seed: randomInt(2 ** 31),
    heartbeatMs,
    now,
    persist: (record) => voteFile.write(record),
    send: (to, message) => network?.send(to, message),
    drain,
    onRole: (change) => {
      tell({ kind: 'role', ...change });
      pushStatus();
    },
    onNote: (note) => tell({ kind: 'note', note }),
    onLeader: (leader) => network?.watch(leader),
    count: (what) => {
      loopCounters[what] = (loopCounters[what] ?? 0) + 1;
    },
    onStandstill: (standstill) => standstills.note(standstill),
  });
  network = await openNetwork({
    clusterId: options.clusterId,
    generation,
    members,
    self: { id: nodeId, boot: bootId },
    keys: options.keys,
    bind: options.bind,
    port: options.udpPort,
    heartbeatMs,
    now,
    onMessage: (arrival) => loop.message(arrival),
    onDeath: (dead) => loop.death(dead),
    onProblem,
  });

  function status(): RaftStatus {
    const { role, term, abstaining } = loop.view;
    const others = members.filter(({ id }) => id !== nodeId);
    return {
      role,
      term,
      abstaining,
      peers: Object.fromEntries(
        others.map(({ id }) => [id, { lastContactMs: network?.lastContactMs(id) ?? null }]),
      ),
      counters: { ...network?.counters, ...loopCounters },
    };
  }
  function pushStatus(): void {
    tell({ kind: 'status', status: status() });
  }

  /** Until a turn brings nothing new. */
  async function drain(): Promise<void> {
    for (let turn = 0; turn < drainTurnsMax; turn++) {
      const before = network?.counters['received'];
      await new Promise((resolve) => setImmediate(resolve));
      // The first turn may end before the loop has polled, so one quiet turn is not enough.
      if (turn > 1 && network?.counters['received'] === before) return;
    }
  }

  const watch = new MainThreadWatch({
    pulse: options.pulse,
    limitMs: stallLimitMs(electionTimeoutMs),
    checkEveryMs: healthCheckEveryMs,
    now: now(),
  });
  let fedHealth: Health | undefined;
  function feedHealth(): void {
    const health = watch.check(now());
    const news =
      health.fit !== fedHealth?.fit ||
      health.databaseReachable !== fedHealth.databaseReachable ||
      health.reason !== fedHealth.reason ||
      Math.abs(health.lagMs - fedHealth.lagMs) >= statusEveryMs;
    if (!news) return;
    fedHealth = health;
    loop.health(health);
  }

  const timers = [setInterval(feedHealth, healthCheckEveryMs), setInterval(pushStatus, statusEveryMs)];

  async function close(): Promise<void> {
    for (const timer of timers) clearInterval(timer);
    loop.close();
    await network?.close();
    voteFile.close();
    tell({ kind: 'closed' });
    port?.close();
  }

  port?.on('message', (message: ToWorker) => {
    switch (message.kind) {
      case 'health':
        watch.reported(message.health);
        return feedHealth();
      case 'fence-refused':
        return loop.fenceRefused(message.databaseTerm);
      case 'transfer':
        tell({ kind: 'transfer-taken', id: message.id });
        return loop.transfer(message.target, message.reason);
      case 'keys':
        return network?.useKeys(message.keys);
      case 'close':
        return void close();
    }
  });

  tell({ kind: 'ready', status: status(), raised: raiseThisThread() });
  loop.start();
  feedHealth();
}

try {
  await run();
} catch (error) {
  tell({ kind: 'failed-to-start', reason: describeError(error) });
  throw error;
}
