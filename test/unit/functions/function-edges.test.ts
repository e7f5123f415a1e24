// What every function shares: one broker connection for whoever publishes, and events shown live without a promise.
import { describe, expect, it } from 'vitest';
import { lazyBroker } from '../../../functions/lazy-broker.ts';
import { reportingEvents } from '../../../functions/report-events.ts';
import { simulatedEdges } from './simulated-edges.ts';

describe('broker', () => {
  const lazy = () => {
    let reads = 0;
    const broker = lazyBroker(
      {
        BATON_BROKER_URL: 'amqps://127.0.0.1:1/',
        BATON_BROKER_CREDENTIALS_URI: 'file:/credentials',
        BATON_TLS_CA_URI: 'file:/ca',
      },
      {
        secrets: {
          text: () => {
            reads += 1;
            return Promise.resolve('');
          },
          json: () => Promise.reject(new Error('no connection is made here')),
        },
        logger: simulatedEdges().ports.logger,
        name: 'test',
      },
    );
    return { broker, reads: () => reads };
  };

  it('broker: callers that come while it opens share one connection', async () => {
    const { broker, reads } = lazy();
    const [one, other] = await Promise.all([broker.open(), broker.open()]);
    expect(one).toBe(other);
    expect(reads()).toBe(1);
    await broker.close();
  });

  it('broker: an invocation that publishes nothing opens nothing', async () => {
    const { broker, reads } = lazy();
    await broker.close();
    expect(reads()).toBe(0);
  });
});

describe('events', () => {
  const problem = { type: 'problem', code: 'INTERNAL', detail: 'something' } as const;

  it('events: what was emitted meanwhile is posted once, 200 at most, and what came before or after is not', async () => {
    const edges = simulatedEdges();
    const { ports, calls } = edges;
    edges.answer = () => undefined;
    ports.logger.emit(problem);
    await reportingEvents(ports, () => {
      for (let number = 0; number < 250; number++) ports.logger.emit(problem);
      return Promise.resolve();
    });
    ports.logger.emit(problem);
    expect(calls.map(({ path, json }) => [path, (json as { events: object[] }).events.length])).toEqual([
      ['/internal/events', 200],
    ]);
  });

  it('events: nothing emitted, nothing posted', async () => {
    const { ports, calls } = simulatedEdges();
    expect(await reportingEvents(ports, () => Promise.resolve('done'))).toBe('done');
    expect(calls).toEqual([]);
  });

  it('events: the work’s own result or error is what counts, whatever becomes of the post', async () => {
    const { ports, calls } = simulatedEdges(); // Answers every call with an error.
    const work = (end: () => Promise<string>) =>
      reportingEvents(ports, () => {
        ports.logger.emit(problem);
        return end();
      });
    expect(await work(() => Promise.resolve('done'))).toBe('done');
    await expect(work(() => Promise.reject(new Error('broken')))).rejects.toThrow('broken');
    expect(calls).toHaveLength(2);
  });
});
