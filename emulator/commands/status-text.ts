// A status as people read it: the same page for processes, for containers and for a stage on AWS.
import type { ServiceView, SystemStatus } from '../cluster/status.ts';

export function statusText(status: SystemStatus): string {
  const lines = (kind: 'node' | 'other') =>
    status.services.filter((service) => (service.kind === 'node') === (kind === 'node'));
  return statusPage(
    status,
    lines('other').flatMap((service) => [
      `${service.name.padEnd(14)} ${service.state.padEnd(11)} ${`pid ${service.pid ?? '-'}`.padEnd(12)} ${service.address}  ${restartsText(service)}`.trimEnd(),
      ...endText(service),
    ]),
    new Map(
      lines('node').map((node) => [
        node.name,
        [...(node.restarts > 0 ? [restartsText(node)] : []), ...endText(node)],
      ]),
    ),
  );
}

function restartsText({ restarts }: ServiceView): string {
  if (restarts === 0) return '';
  return restarts === 1 ? 'restarted once' : `restarted ${restarts} times`;
}

/** Why it ended, and where to read on. */
function endText({ lastEnd, log }: ServiceView): string[] {
  if (lastEnd === null) return [];
  return [`  ${lastEnd.replaceAll(/\s*\n\s*/g, ' ').slice(0, 500)}`, ...(log === null ? [] : [`  ${log}`])];
}

/**
 * `services`: lines for each; what is known of one differs between processes and the cloud. `ofNodes`: what else is known
 * of a node.
 */
export function statusPage(
  { leader, term, nodes, counts, faults }: Omit<SystemStatus, 'services'>,
  services: readonly string[],
  ofNodes: ReadonlyMap<string, readonly string[]> = new Map(),
): string {
  const lines = [leader === null ? 'Nobody leads.' : `${leader} leads in term ${term}.`, ''];
  for (const { id, state, term: nodeTerm, url, health } of nodes)
    lines.push(
      `  ${id === leader ? '*' : ' '} ${id.padEnd(10)} ${state.padEnd(10)} ${`term ${nodeTerm ?? '?'}`.padEnd(9)} ${health.padEnd(12)} ${url}`,
      ...(ofNodes.get(id) ?? []).map((line) => `      ${line}`),
    );
  lines.push('', ...services.map((line) => `    ${line}`));
  const problems = problemsOf(nodes);
  if (problems.length > 0) lines.push('', ...problems.map((problem) => `  ! ${problem}`));
  if (faults.length > 0) lines.push('', '  broken on purpose:', ...faults.map((fault) => `    ${fault}`));
  const number = (value: number | null): string => (value === null ? '?' : value.toLocaleString('en'));
  lines.push(
    '',
    `    ${number(counts.items)} items in ${number(counts.itemVersions)} versions, ${number(counts.files)} files, ${number(counts.mailsSent)} mails sent, ${number(counts.queued)} messages queued, ${number(counts.deadLetters)} dead letters`,
    '',
  );
  return lines.join('\n');
}

/** What every node that answers says is so; what some of them say carries their names. */
function problemsOf(nodes: SystemStatus['nodes']): string[] {
  const answering = nodes.filter(({ health }) => health === 'ok');
  return [...new Set(answering.flatMap(({ problems }) => problems))].map((problem) => {
    const saying = answering.filter(({ problems }) => problems.includes(problem)).map(({ id }) => id);
    return saying.length === answering.length ? problem : `${saying.join(', ')}: ${problem}`;
  });
}
