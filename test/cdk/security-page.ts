// docs/security.md: who may do what on AWS, from the templates of the stage dev and from the broker's permissions. Run as
// a script it writes the page; a test compares the two.
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { format, resolveConfig } from 'prettier';
import { permissionsFor } from '../../functions/deploy/broker-topology/declare-topology.ts';
import { inWords, resourceGrants, roleGrants, type Grant } from './grants.ts';
import { paths } from './paths.ts';
import { synthesized } from './synthesize.ts';

export const securityPage = new URL('../../docs/security.md', import.meta.url);

const roles: Readonly<Record<string, string>> = {
  TaskRole: 'the running task',
  ExecutionRole: 'ECS, to start the task',
};

export async function renderSecurity(): Promise<string> {
  const { resources, stage } = synthesized('dev');
  const text = [
    '# Who may do what on AWS',
    '',
    'Generated from the templates of the stage dev by `node test/cdk/security-page.ts`; a test keeps it current. What attackers are expected to try is in docs/threat-model.md.',
    '',
    '## Roles',
    '',
    'A role may do what stands here and nothing else. `node-N` stands for each node with its own certificate and its own folder. Two actions need every resource (`*`), because AWS knows no narrower one: network interfaces, which Lambda makes in the VPC with the role of a function and the function’s code may not, and `ecr:GetAuthorizationToken`.',
    '',
    ...table(['Who', 'May', 'On', 'If'], roleGrants(resources).map(rowOf)),
    '',
    '## What resources say about their callers',
    '',
    ...table(['Who', 'May', 'On', 'If'], resourceGrants(resources).map(rowOf)),
    '',
    '## Network',
    '',
    'Security groups are the only paths. 203.0.113.0/24 stands for the readers of cdk.json.',
    '',
    ...table(
      ['From', 'To', 'Port', 'For'],
      paths(resources).map(({ from, to, protocol, port, why }) => [from, to, `${protocol} ${port}`, why]),
    ),
    '',
    '## RabbitMQ',
    '',
    'Names as regular expressions. Nobody but the administrator, whose password only the deploy reads, may declare or delete.',
    '',
    ...table(
      ['User', 'Configures', 'Writes to', 'Reads from'],
      Object.entries(permissionsFor(stage.itemPartitions)).map(([user, { configure, write, read }]) => [
        user,
        ...[configure, write, read].map((pattern) =>
          pattern === '^$' ? 'nothing' : `\`${pattern.replaceAll('|', String.raw`\|`)}\``,
        ),
      ]),
    ),
    '',
    '## Secrets',
    '',
    'All are in Secrets Manager and encrypted there; no template and no log holds one, and no variable but those of the FTP server’s container, into which ECS puts its login and the key of its certificate: vsftpd reads no secret by itself. The secret keeper makes and renews certificates, cluster keys, tokens and the list of public authorities; the logins are made by Secrets Manager; `smtp` is filled in by a person (docs/aws.md). RDS makes and rotates the password of the database.',
    '',
  ].join('\n');
  return format(text, { ...(await resolveConfig(fileURLToPath(securityPage))), parser: 'markdown' });
}

function rowOf({ who, effect, actions, resources, condition }: Grant): string[] {
  return [
    whoInWords(who),
    `${effect === 'Deny' ? '**never** ' : ''}${byService(actions)}`,
    [...new Set(resources.map((name) => anyNode(inWords(name))))].join(', '),
    condition === undefined ? '' : conditionInWords(condition),
  ];
}

/** `Task-node-1/TaskRole` is `node-N, the running task`. */
function whoInWords(role: string): string {
  const [owner = '', ...parts] = role.split('/');
  const kind = roles[parts.at(-1) ?? ''];
  const name = anyNode(
    owner.replace(/^Task-/, '').replace(/^Custom::(\w+)CustomResourceProvider$/, 'CDK’s $1'),
  );
  return kind === undefined ? name : `${name.toLowerCase()}, ${kind}`;
}
function anyNode(text: string): string {
  return text.replaceAll(/node-\d+/g, 'node-N');
}
/** `sqs: GetQueueUrl, SendMessage`. */
function byService(actions: readonly string[]): string {
  if (actions.includes('*')) return 'anything';
  const services = Map.groupBy(actions, (action) => action.split(':')[0] ?? '');
  return [...services]
    .map(([service, of]) => `${service}: ${of.map((action) => action.split(':')[1]).join(', ')}`)
    .join('; ');
}
function conditionInWords(condition: Readonly<Record<string, unknown>>): string {
  const flat = JSON.stringify(condition);
  if (flat === '{"Bool":{"aws:SecureTransport":"false"}}') return 'without TLS';
  const point = /AccessPointArn":"[^"]*access-point\/Files\/Point-(?<point>[^"]+)"/.exec(flat)?.groups?.[
    'point'
  ];
  if (point !== undefined) return `through the access point of ${anyNode(point)}`;
  const source = /"(?:aws:SourceArn|from)":"(?<source>[^"]+)"/.exec(flat)?.groups?.['source'];
  if (source !== undefined) return `from ${inWords(source)}`;
  if (flat.includes('"lambda:SourceFunctionArn"')) return 'asked by its own code';
  if (flat.includes('"aws:SourceAccount"')) return 'from this account';
  throw new Error(`a condition that the page has no words for: ${flat}`);
}

function table(heads: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const lines = rows.map((row) => `| ${row.join(' | ')} |`);
  return [`| ${heads.join(' | ')} |`, `|${' --- |'.repeat(heads.length)}`, ...new Set(lines)];
}

if (import.meta.main) writeFileSync(securityPage, await renderSecurity());
