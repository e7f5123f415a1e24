// What CloudFormation makes of a template's values: names, addresses and references as text, in an account that is made
// up. What has no address before it exists is called by its path in the tree of constructs.
import { z } from 'zod';

export const account = '123456789012';
export const region = 'eu-central-1';
const zones = ['a', 'b', 'c'].map((letter) => `${region}${letter}`);

export interface Unresolved {
  readonly Type: string;
  readonly Properties: Readonly<Record<string, unknown>>;
  /** In the tree of constructs, without the stack. */
  readonly path: string;
}
export interface Template {
  readonly resources: ReadonlyMap<string, Unresolved>;
  readonly outputs: ReadonlyMap<string, unknown>;
}

const pseudo: Readonly<Record<string, string | undefined>> = {
  'AWS::AccountId': account,
  'AWS::Region': region,
  'AWS::Partition': 'aws',
  'AWS::URLSuffix': 'amazonaws.com',
};
const getAtt = z.tuple([z.string(), z.string()]);
const join = z.tuple([z.string(), z.array(z.unknown())]);
const select = z.tuple([z.coerce.number(), z.unknown()]);
const split = z.tuple([z.string(), z.unknown()]);
/** `<stack>:<output>`, as the CDK names what a stack exports. */
const exported = z.string().regex(/^[^:]+:[^:]+$/);

/** @throws Error for an intrinsic function or a reference that it does not know. */
export function resolver(
  template: Template,
  stackNamed: (name: string) => Template,
): (value: unknown) => unknown {
  function resolve(value: unknown): unknown {
    if (Array.isArray(value)) return value.map(resolve);
    if (typeof value !== 'object' || value === null) return value;
    const [[key, argument] = [], ...others] = Object.entries(value);
    if (key !== undefined && others.length === 0 && (key === 'Ref' || key.startsWith('Fn::')))
      return call(key, argument);
    return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, resolve(inner)]));
  }
  function call(name: string, argument: unknown): unknown {
    switch (name) {
      case 'Ref': {
        const id = z.string().parse(argument);
        return pseudo[id] ?? referenceTo(resourceNamed(id), resolve);
      }
      case 'Fn::GetAtt': {
        const [id, attribute] = getAtt.parse(argument);
        return attributeOf(resourceNamed(id), attribute, resolve);
      }
      case 'Fn::Join': {
        const [separator, parts] = join.parse(resolve(argument));
        return parts.flat().join(separator);
      }
      case 'Fn::Select': {
        const [index, list] = select.parse(argument);
        return z.array(z.unknown()).parse(resolve(list))[index];
      }
      case 'Fn::Split': {
        const [separator, text] = split.parse(resolve(argument));
        return String(text).split(separator);
      }
      case 'Fn::GetAZs':
        return zones;
      case 'Fn::Sub':
        return z
          .string()
          .parse(argument)
          .replaceAll(/\$\{(?<name>[^}]+)\}/g, (whole, id: string) => pseudo[id] ?? whole);
      case 'Fn::ImportValue': {
        const [stack = '', output = ''] = exported.parse(argument).split(':');
        const other = stackNamed(stack);
        if (!other.outputs.has(output)) throw new Error(`${stack} exports no ${output}`);
        return resolver(other, stackNamed)(other.outputs.get(output));
      }
      default:
        throw new Error(`${name} in a template: resolve.ts does not know it`);
    }
  }
  function resourceNamed(id: string): Unresolved {
    const found = template.resources.get(id);
    if (!found) throw new Error(`a template refers to ${id}, which is not in it`);
    return found;
  }
  return resolve;
}

type Resolve = (value: unknown) => unknown;

const named: Readonly<Record<string, { property: string; service: string; before?: string }>> = {
  'AWS::SQS::Queue': { property: 'QueueName', service: 'sqs' },
  'AWS::Lambda::Function': { property: 'FunctionName', service: 'lambda', before: 'function:' },
  'AWS::DynamoDB::Table': { property: 'TableName', service: 'dynamodb', before: 'table/' },
  'AWS::SecretsManager::Secret': { property: 'Name', service: 'secretsmanager', before: 'secret:' },
  'AWS::AmazonMQ::Broker': { property: 'BrokerName', service: 'mq', before: 'broker:' },
  'AWS::Logs::LogGroup': { property: 'LogGroupName', service: 'logs', before: 'log-group:' },
};

function nameOf({ Type, Properties, path }: Unresolved, resolve: Resolve): string {
  const property = named[Type]?.property;
  return property !== undefined && Properties[property] !== undefined
    ? String(resolve(Properties[property]))
    : path;
}
function arnOf(resource: Unresolved, resolve: Resolve): string {
  const kind = named[resource.Type];
  if (!kind) return `${resource.path}.Arn`;
  return `arn:aws:${kind.service}:${region}:${account}:${kind.before ?? ''}${nameOf(resource, resolve)}`;
}

function referenceTo(resource: Unresolved, resolve: Resolve): string {
  switch (resource.Type) {
    case 'AWS::SQS::Queue':
      return `https://sqs.${region}.amazonaws.com/${account}/${nameOf(resource, resolve)}`;
    case 'AWS::SecretsManager::Secret':
      return arnOf(resource, resolve);
    default:
      return nameOf(resource, resolve);
  }
}

function attributeOf(resource: Unresolved, attribute: string, resolve: Resolve): unknown {
  switch (attribute) {
    case 'Arn':
      return arnOf(resource, resolve);
    case 'QueueName':
    case 'TableName':
      return nameOf(resource, resolve);
    case 'AmqpEndpoints':
      return [`amqps://b-1.mq.${region}.on.aws:5671`];
    case 'Endpoint.Address':
      return `database.${region}.rds.amazonaws.com`;
    case 'MasterUserSecret.SecretArn':
      return `arn:aws:secretsmanager:${region}:${account}:secret:rds!database`;
    default:
      return `${resource.path}.${attribute}`;
  }
}
