// The real public listener and page over a simulated store and election, for a browser to open: stops and comes back
// on its port as a node does.
import type { Member } from '../../contracts/environment.ts';
import type { CrawlView, FileView, MailView, Watch } from '../../contracts/public-api.ts';
import type { EventDraft } from '../../contracts/event.ts';
import type { Item } from '../../contracts/item.ts';
import { queues } from '../../contracts/topology.ts';
import { Metrics } from '../../nodes/health/metrics.ts';
import { Leadership } from '../../nodes/leadership.ts';
import type { RaftStatus } from '../../nodes/raft-thread/messages.ts';
import type { RaftThread } from '../../nodes/raft-thread/thread.ts';
import type { SourceAge, Store } from '../../nodes/store.ts';
import type { Launcher } from '../../nodes/web/faults.ts';
import { Guard } from '../../nodes/web/guard.ts';
import { Live } from '../../nodes/web/live.ts';
import { bundlePage } from '../../nodes/web/page.ts';
import { createPublicServer } from '../../nodes/web/public-server.ts';
import { createLogger } from '../../runtime/logger.ts';
import { simulatedRaft, simulatedStore } from '../integration/node/simulated-edges.ts';
import { freePort } from '../support/ports.ts';

export type ServedNode = Awaited<ReturnType<typeof serveNode>>;

const logger = createLogger({ process: 'node-1', write: () => undefined });
const token = 'token-of-the-browser-test';
const readerToken = 'token-of-a-reader-alone';
const page = await bundlePage(new URL('../../nodes/dashboard', import.meta.url).pathname);

export async function serveNode({ launcher }: { launcher?: Launcher } = {}) {
  const simulated = { ...simulatedRaft(), ...simulatedStore() };
  const lists = {
    files: [] as FileView[],
    crawls: [] as CrawlView[],
    mails: [] as MailView[],
    sourceAges: [] as SourceAge[],
  };
  const watches = new Map<string, Omit<Watch, 'email'>>();
  const items = new Map<string, { item: Item; history: Item[] }>();
  const depths = new Map<string, number>(Object.values(queues).map(({ name }) => [name, 0]));
  const heardMsAgo = new Map<string, number>();
  const ownAnswers: Partial<Store> = {
    fence: async () => ({ term: simulated.orders.databaseTerm, holder: 'node-1' }),
    counts: async () => ({ items: 1, itemVersions: 2, files: 0, mailsSent: 0 }),
    sources: async () => [],
    sourceAges: async () => lists.sourceAges,
    recentFiles: async () => lists.files,
    recentCrawls: async () => lists.crawls,
    recentMails: async () => lists.mails,
    watch: async (id) => watches.get(id),
    deleteWatch: async (_term, id) => watches.delete(id),
    item: async ({ source, sku }) => items.get(`${source}/${sku}`),
  };
  const store = new Proxy(simulated.store, {
    get: (target, name): unknown => Reflect.get(ownAnswers, name) ?? Reflect.get(target, name),
  });
  const raft: RaftThread = {
    ...simulated.raft,
    status: (): RaftStatus => ({
      ...simulated.raft.status(),
      peers: Object.fromEntries([...heardMsAgo].map(([id, lastContactMs]) => [id, { lastContactMs }])),
    }),
  };
  const member = (index: number, port: number): Member => ({
    id: `node-${index}`,
    udp: `127.0.0.1:${7_000 + index}`,
    internalUrl: `https://127.0.0.1:${8_400 + index}`,
    publicUrl: `http://127.0.0.1:${port}`,
    voter: true,
  });
  const members = [member(1, 1), member(2, 2), member(3, 3)];
  const leadership = new Leadership({
    nodeId: 'node-1',
    bootId: 'a'.repeat(32),
    members,
    raft,
    claim: (claim) => store.claim(claim),
    emit: logger.emit,
    repeatClaimMs: 100,
    patienceMs: 20,
  });
  // As nodes/node.ts does: a change of role is an event too, and the page looks again at once.
  raft.onRole(({ role, term, reason }) => {
    const leader = role.kind === 'leader' ? 'node-1' : 'leader' in role ? role.leader : null;
    show({ type: 'role.changed', node: 'node-1', from: 'follower', to: role.kind, term, leader, reason });
  });
  const hosts = new Set<string>();
  const guard = new Guard({
    tokens: async () => ({ reader: readerToken, editor: token, operator: token }),
    hosts: () => hosts,
  });
  const port = await freePort(); // It is given up and taken again.
  let live: Live;
  let stop: () => Promise<void>;
  let cutStreams: () => void;

  async function start(): Promise<void> {
    live = new Live(store, (error) => logger.error(String(error)));
    const server = createPublicServer({
      nodeId: 'node-1',
      generation: 1,
      behindProxy: false,
      others: () => {
        throw new Error('this node forwards nothing');
      },
      itemPartitions: 1,
      members,
      leadership,
      raft,
      store,
      broker: {
        publish: async () => undefined,
        depth: async (name) => depths.get(name) ?? 0,
        take: async () => 0,
        close: async () => undefined,
      },
      live,
      guard,
      problems: { list: () => [] },
      metrics: new Metrics(),
      logger,
      page,
      launcher,
    });
    await server.listen({ host: '127.0.0.1', port });
    hosts.add(`127.0.0.1:${port}`);
    stop = () => server.close();
    cutStreams = () => server.server.closeAllConnections();
  }
  /** As the node's own events, and those that other processes post. */
  function show(draft: EventDraft, process = 'node-1'): void {
    live.show({ version: 1, at: new Date().toISOString(), process, ...draft });
  }
  await start();
  return {
    ...simulated,
    lists,
    watches,
    items,
    depths,
    heardMsAgo,
    url: `http://127.0.0.1:${port}`,
    token,
    readerToken,
    /** Opens the page with a session of an operator. */
    newKey: () => guard.newKey(),
    show,
    /** As a network that fails for a moment. */
    cutStreams: () => cutStreams(),
    start,
    stop: () => stop(),
  };
}
