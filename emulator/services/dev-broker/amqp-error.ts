// The errors AMQP knows, with its codes. The code decides how far one reaches: a soft error closes the channel, a hard
// one the connection (AMQP 0-9-1 specification, 1.2 "Constants").

const codes = {
  CONTENT_TOO_LARGE: { code: 311, scope: 'channel' },
  CONNECTION_FORCED: { code: 320, scope: 'connection' },
  ACCESS_REFUSED: { code: 403, scope: 'channel' },
  NOT_FOUND: { code: 404, scope: 'channel' },
  PRECONDITION_FAILED: { code: 406, scope: 'channel' },
  FRAME_ERROR: { code: 501, scope: 'connection' },
  SYNTAX_ERROR: { code: 502, scope: 'connection' },
  COMMAND_INVALID: { code: 503, scope: 'connection' },
  CHANNEL_ERROR: { code: 504, scope: 'connection' },
  UNEXPECTED_FRAME: { code: 505, scope: 'connection' },
  RESOURCE_ERROR: { code: 506, scope: 'connection' },
  NOT_ALLOWED: { code: 530, scope: 'connection' },
  NOT_IMPLEMENTED: { code: 540, scope: 'connection' },
} as const;

export class AmqpError extends Error {
  readonly code: number;
  readonly scope: 'channel' | 'connection';

  /** `text` goes to the client: what is wrong, and with which name. */
  constructor(name: keyof typeof codes, text: string) {
    super(`${name} - ${text}`);
    this.name = 'AmqpError';
    this.code = codes[name].code;
    this.scope = codes[name].scope;
  }
}

export function notImplemented(what: string): AmqpError {
  return new AmqpError('NOT_IMPLEMENTED', `the development broker has no ${what}; RabbitMQ may have`);
}
