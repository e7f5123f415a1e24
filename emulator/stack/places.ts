// Where everything of a system listens: the usual ports, or others where those are taken.
import type { Member } from '../../contracts/environment.ts';
import type { LinkPlan } from '../faults/link.ts';
import { planLinks } from '../faults/plan-links.ts';
import { nodeName } from '../instance/membership.ts';
import { type Ports, usualPorts } from '../instance/ports.ts';
import type { StackSettings } from './settings.ts';

export const host = '127.0.0.1';

export interface Places {
  readonly members: readonly Member[];
  /** The members as this one reaches them: behind links that can be broken, when there are any. */
  membersSeenBy(id: string): readonly Member[];
  readonly links: readonly LinkPlan[];
  readonly ports: Readonly<
    Record<
      | 'control'
      | 'database'
      | 'demoShop'
      | 'dynamodb'
      | 'front'
      | 'ftp'
      | 'inbox'
      | 'lambda'
      | 'smtp'
      | 'sqs',
      number
    >
  >;
  /** These two may be elsewhere. */
  readonly lambda: string;
  readonly sqs: string;
  readonly dynamodb: string;
  /** Undefined: none was asked for. */
  readonly demoShop: string | undefined;
}

/** @throws Error when no port is free. */
export async function findPlaces(settings: StackSettings, ports: Ports): Promise<Places> {
  const take = (name: keyof typeof usualPorts, step = 0) => ports.take(name, usualPorts[name] + step);
  const members: Member[] = [];
  for (let index = 0; index < settings.nodes; index++)
    members.push({
      id: nodeName(index),
      udp: `${host}:${await take('udp', index)}`,
      internalUrl: `https://${host}:${await take('internal', index)}`,
      publicUrl: `http://${host}:${await take('public', index)}`,
      voter: true,
    });
  let linkPorts = 0;
  const planned = await planLinks(settings.links ? members : [], () => take('link', linkPorts++));
  const taken = {
    control: await take('control'),
    database: await take('database'),
    demoShop: await take('demoShop'),
    dynamodb: await take('dynamodb'),
    front: await take('front'),
    ftp: await take('ftp'),
    inbox: await take('inbox'),
    lambda: await take('lambda'),
    smtp: await take('smtp'),
    sqs: await take('sqs'),
  };
  return {
    members,
    membersSeenBy: (id) => (settings.links ? planned.membersSeenBy(id) : members),
    links: planned.links,
    ports: taken,
    lambda: settings.lambdaEndpoint ?? `http://${host}:${taken.lambda}`,
    sqs: settings.awsEndpoint ?? `http://${host}:${taken.sqs}`,
    dynamodb: settings.awsEndpoint ?? `http://${host}:${taken.dynamodb}`,
    demoShop: settings.demo ? `http://${host}:${taken.demoShop}` : undefined,
  };
}
