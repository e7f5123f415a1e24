// Headers that the codec reads and cannot write are refused when they come, since a dead letter writes all of them again.
import { expect, test } from 'vitest';
import {
  decodeProperties,
  encodeProperties,
  refuseUnencodable,
} from '../../../emulator/services/dev-broker/amqp.ts';

function judge(bytes: Buffer): void {
  refuseUnencodable(bytes, decodeProperties(bytes));
}

test('a table with the key `!` is refused, and so are names that grow too long', () => {
  const nested = encodeProperties({ headers: { nested: { a: 'of no type' } } });
  expect(() => judge(nested)).not.toThrow();
  nested[nested.lastIndexOf('a', nested.indexOf('of no type'))] = '!'.charCodeAt(0);
  expect(() => judge(nested)).toThrow('cannot write');
  const name = encodeProperties({ headers: { ['n'.repeat(200)]: 'x' } });
  expect(() => judge(Buffer.from(name).fill(0xff, name.indexOf('n'), name.lastIndexOf('n') + 1))).toThrow(
    'cannot write',
  );
});

test('numbers that are no whole ones are written as they were read', () => {
  const headers = {
    list: [NaN, -Infinity, 2 ** 51 + 0.5, -1e300].map((value) => ({ '!': 'double', value })),
  };
  const bytes = encodeProperties({ headers });
  expect(() => judge(bytes)).not.toThrow();
  expect(encodeProperties(decodeProperties(bytes))).toEqual(bytes);
});
