// A stage on AWS for tests of the commands that look at one: simulated APIs of AWS, and three nodes that answer over HTTP.
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach } from 'vitest';
import { answerQueues, answerServices } from './baton-on-aws.ts';
import { describedStack, json, startSimulatedAws, type SimulatedAws } from './simulated-aws.ts';

export interface SimulatedStage {
  readonly aws: SimulatedAws;
  /** The nodes' public listeners, and whatever else the test lets listen: closed after it. */
  servers: Server[];
  /** Of node-1 to node-3. */
  urls: string[];
  /** Who leads, as every node says. */
  leader: string | null;
  /** Authorization headers that nodes got. */
  tokensSeen: string[];
  /** What AWS was asked, by operation. */
  operations(): string[];
}

/** A new one for each test. */
export function useSimulatedStage(): SimulatedStage {
  let aws: SimulatedAws;
  const stage: SimulatedStage = {
    get aws() {
      return aws;
    },
    servers: [],
    urls: [],
    leader: null,
    tokensSeen: [],
    operations: () => aws.asked.map(({ operation }) => operation),
  };
  beforeEach(async () => {
    aws = await startSimulatedAws();
    Object.assign(stage, { servers: [], urls: [], leader: 'node-2', tokensSeen: [] });
    for (const id of ['node-1', 'node-2', 'node-3']) stage.urls.push(await startNode(stage, id));
    aws.answers.set('DescribeStacks', () => describedStack({ PublicUrl: stage.urls[0] as string }));
    aws.answers.set('GetSecretValue', () =>
      json({ SecretString: JSON.stringify({ reader: 'r', editor: 'e', operator: 'operator-of-the-stage' }) }),
    );
    answerServices(aws);
    answerQueues(aws);
  });
  afterEach(() => {
    aws.close();
    for (const server of stage.servers) {
      server.closeAllConnections();
      server.close();
    }
  });
  return stage;
}

/** A node's public listener; node-1's is also what the load balancer answers. */
async function startNode(stage: SimulatedStage, id: string): Promise<string> {
  const server = createServer((request, response) => {
    if (request.headers.authorization !== undefined) stage.tokensSeen.push(request.headers.authorization);
    const answers: Record<string, () => object> = {
      '/health': () => ({
        nodeId: id,
        state: id === stage.leader ? 'leading' : 'following',
        term: 7,
        leader: stage.leader,
        problems: id === 'node-3' ? ['the broker does not answer'] : [],
      }),
      '/counts': () => ({
        items: 1234,
        itemVersions: 2000,
        files: 3,
        mailsSent: 4,
        deadLetters: 5,
        queued: 6,
      }),
      '/cluster': () => clusterOf(stage, id),
      '/dead-letters/groups': () => ({ groups: [] }),
      '/cluster/transfer': () => ({ kind: 'done', leader: 'node-1' }),
    };
    const answer = answers[request.url ?? '']?.();
    response.writeHead(answer ? 200 : 404, { 'content-type': 'application/json' });
    response.end(
      JSON.stringify(answer ?? { type: 'about:blank', title: 'Not found', status: 404, code: 'NOT_FOUND' }),
    );
  });
  stage.servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function clusterOf({ urls, leader }: SimulatedStage, id: string) {
  const members = urls.map((publicUrl, index) => ({
    id: `node-${index + 1}`,
    udp: 'node:7400',
    internalUrl: 'https://node:7443',
    publicUrl,
    voter: true,
    lastContactMs: id === leader && id !== `node-${index + 1}` ? 40 + index : null,
  }));
  const leads = members.find((member) => member.id === leader);
  return {
    nodeId: id,
    role: { kind: id === leader ? 'leader' : 'follower', leader },
    term: 7,
    state: { kind: id === leader ? 'leading' : 'following', term: 7, leader },
    abstaining: id === 'node-3',
    leader: leads ? { nodeId: leads.id, term: 7, ...leads } : null,
    generation: 1,
    fence: null,
    members,
  };
}
