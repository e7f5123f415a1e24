// Expected values are RabbitMQ's documented rules for topic exchanges, and small cases worked out by hand.
import { describe, expect, it } from 'vitest';
import { route, topicMatches } from '../../../emulator/services/dev-broker/routing.ts';
import { cpuMsOf } from '../../support/cpu-time.ts';

describe('topic routing', () => {
  it.each([
    ['items.#', 'items', true],
    ['items.#', 'items.shop', true],
    ['items.#', 'items.shop.eu', true],
    ['items.#', 'itemsx', false],
    ['items.*', 'items', false],
    ['items.*', 'items.shop', true],
    ['items.*', 'items.shop.eu', false],
    ['*.orange.*', 'quick.orange.rabbit', true],
    ['*.*.rabbit', 'quick.orange.rabbit', true],
    ['lazy.#', 'lazy.orange.new.rabbit', true],
    ['*.orange.*', 'quick.orange.new.rabbit', false],
    ['#', '', true],
    ['#', 'any.thing', true],
    ['', '', true],
    ['*', '', true],
    ['#.eu', 'eu', true],
    ['#.eu', 'a.b.eu', true],
    ['#.eu', 'a.eu.b', false],
    ['a.#.z', 'a.z', true],
    ['a.#.z', 'a.b.c.z', true],
    ['#.#', 'a', true],
    ['a.#.#.b', 'a.b', true],
    ['ä.*', 'ä.ö', true],
  ])('%s takes %s: %s', (pattern, key, expected) => {
    expect(topicMatches(pattern, key)).toBe(expected);
  });

  it('a pattern of many wildcards takes no longer than a short one', () => {
    // 127 wildcards against 127 words: a search that tries each place in turn would not end.
    const pattern = `${Array.from({ length: 126 }, () => '#').join('.')}.end`;
    const key = Array.from({ length: 127 }, () => 'w').join('.');
    expect(cpuMsOf(() => expect(topicMatches(pattern, key)).toBe(false))).toBeLessThan(1_000);
  });
});

describe('exchange types', () => {
  const bindings = [
    { exchange: 'e', queue: 'one', routingKey: 'a.b' },
    { exchange: 'e', queue: 'one', routingKey: 'a.*' },
    { exchange: 'e', queue: 'two', routingKey: 'other' },
  ];
  it('direct takes the very key, topic its patterns, fanout everything; each queue once', () => {
    expect([...route('direct', bindings, 'a.b')]).toEqual(['one']);
    expect([...route('direct', bindings, 'a.*')]).toEqual(['one']);
    expect([...route('direct', bindings, 'a.c')]).toEqual([]);
    expect([...route('topic', bindings, 'a.b')]).toEqual(['one']);
    expect([...route('topic', bindings, 'a.c')]).toEqual(['one']);
    expect([...route('fanout', bindings, 'whatever')]).toEqual(['one', 'two']);
  });
});
