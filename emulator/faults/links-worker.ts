// Entry of the thread that carries what nodes say to each other. A thread of its own: it is not held up by the launcher,
// which reads every line that a service prints.
import { parentPort, workerData } from 'node:worker_threads';
import { Link, type LinkPlan } from './link.ts';
import type { LinkRules } from './link-rules.ts';

const port = parentPort;
if (!port) throw new Error('links-worker.ts runs as a worker thread');
const { plans, rules } = workerData as { plans: readonly LinkPlan[]; rules: LinkRules };
const links = await Promise.all(plans.map((plan) => Link.open(plan)));
const apply = (next: LinkRules): void => {
  for (const link of links) link.setRules(next);
};
apply(rules);
port.on('message', (next: LinkRules) => {
  apply(next);
  port.postMessage('applied');
});
port.postMessage('applied');
