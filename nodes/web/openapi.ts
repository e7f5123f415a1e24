// GET /openapi.json: the public API as OpenAPI 3.1, from the schemas that check the requests. A test compares it with the
// routes that are served.
import { z } from 'zod';
import { problemMediaType } from '../../contracts/failures.ts';
import { problemSchema } from '../../contracts/node-api.ts';

export interface Operation {
  readonly method: 'get' | 'put' | 'post' | 'delete';
  /** With `{name}` for what varies. */
  readonly path: string;
  readonly summary: string;
  readonly role?: 'editor' | 'operator';
  readonly query?: z.ZodObject;
  readonly body?: z.ZodType;
  /** Of an answer in JSON. */
  readonly answer?: z.ZodType;
  /** Of an answer that is none. */
  readonly mediaType?: string;
  /** 200 when it is left out. */
  readonly status?: number;
}

export function openApi(operations: readonly Operation[]): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const operation of operations)
    paths[operation.path] = { ...paths[operation.path], [operation.method]: describe(operation) };
  return {
    openapi: '3.1.0',
    info: {
      title: 'Baton',
      version: '1',
      description:
        'Reading is open on loopback; changes need a bearer token with a role. Errors are RFC 9457 problems.',
    },
    paths,
    components: {
      securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } },
      schemas: { Problem: answerSchema(problemSchema) },
    },
  };
}

function describe({ path, summary, role, query, body, answer, mediaType, status = 200 }: Operation): object {
  const inPath = [...path.matchAll(/\{(?<name>\w+)\}/g)].map((match) => ({
    name: match.groups?.['name'],
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }));
  const inQuery = Object.entries(query?.shape ?? {}).map(([name, schema]) => ({
    name,
    in: 'query',
    required: false,
    schema: jsonSchema(schema as z.ZodType),
  }));
  return {
    summary: role === undefined ? summary : `${summary} (role ${role})`,
    ...(role === undefined ? {} : { security: [{ bearer: [] }] }),
    parameters: [...inPath, ...inQuery],
    ...(body === undefined
      ? {}
      : { requestBody: { required: true, content: { 'application/json': { schema: jsonSchema(body) } } } }),
    responses: {
      [String(status)]: {
        description: 'Done.',
        ...(answer === undefined
          ? {}
          : { content: { 'application/json': { schema: answerSchema(answer) } } }),
        ...(mediaType === undefined ? {} : { content: { [mediaType]: {} } }),
      },
      default: {
        description: 'A problem.',
        content: { [problemMediaType]: { schema: { $ref: '#/components/schemas/Problem' } } },
      },
    },
  };
}

function jsonSchema(schema: z.ZodType): object {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' });
  return rest;
}

/** What has a default is always there in an answer. A later release may add fields, so none is forbidden. */
function answerSchema(schema: z.ZodType): object {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, {
    io: 'output',
    unrepresentable: 'any',
    override: ({ jsonSchema: made }) => {
      if (made.additionalProperties === false) delete made.additionalProperties;
    },
  });
  return rest;
}
