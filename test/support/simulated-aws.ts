// APIs of AWS that a test answers: one listener for all of them, to which the SDK is led by AWS_ENDPOINT_URL. It keeps what
// it was asked, and refuses what it was told nothing of.
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface AwsAnswer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: string;
}
export interface SimulatedAws {
  readonly url: string;
  /** By operation (`DescribeServices`), else by `METHOD /path`. */
  readonly answers: Map<string, (body: string) => AwsAnswer>;
  readonly asked: { readonly operation: string; readonly body: string }[];
  close(): void;
}

export async function startSimulatedAws(): Promise<SimulatedAws> {
  const answers: SimulatedAws['answers'] = new Map();
  const asked: { operation: string; body: string }[] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      // JSON protocols name the operation in a header, the query protocol in a form.
      const operation =
        request.headers['x-amz-target']?.toString().split('.').at(-1) ??
        new URLSearchParams(body).get('Action') ??
        `${request.method} ${request.url}`;
      asked.push({ operation, body });
      const answer = answers.get(operation)?.(body);
      response.writeHead(answer ? (answer.status ?? 200) : 501, answer?.headers);
      response.end(answer?.body ?? `the test said nothing about ${operation}`);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    answers,
    asked,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

export function json(value: unknown): AwsAnswer {
  return { body: JSON.stringify(value) };
}

/** An error of the JSON protocols. */
export function awsError(name: string, message = ''): AwsAnswer {
  return {
    status: 400,
    headers: { 'x-amzn-errortype': name },
    body: JSON.stringify({ __type: name, message }),
  };
}

/** As CloudFormation answers in the query protocol. */
export function describedStack(outputs: Readonly<Record<string, string>>): AwsAnswer {
  const members = Object.entries(outputs)
    .map(
      ([key, value]) => `<member><OutputKey>${key}</OutputKey><OutputValue>${value}</OutputValue></member>`,
    )
    .join('');
  return {
    body: `<DescribeStacksResponse><DescribeStacksResult><Stacks><member><StackName>s</StackName><CreationTime>2026-11-25T10:00:00Z</CreationTime><StackStatus>CREATE_COMPLETE</StackStatus><Outputs>${members}</Outputs></member></Stacks></DescribeStacksResult></DescribeStacksResponse>`,
  };
}

export function missingStack(name: string): AwsAnswer {
  return {
    status: 400,
    body: `<ErrorResponse><Error><Type>Sender</Type><Code>ValidationError</Code><Message>Stack with id ${name} does not exist</Message></Error><RequestId>r</RequestId></ErrorResponse>`,
  };
}
