// Which messages of a batch have succeeded, by the rules of
// https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
import { describe, expect, it } from 'vitest';
import { withoutFailed } from '../../../emulator/event-sources/sqs.ts';

const messages = [{ MessageId: 'a' }, { MessageId: 'b' }, { MessageId: 'c' }];
const ids = (answer: unknown) => withoutFailed(messages, answer).map(({ MessageId }) => MessageId);

describe('partial batch responses', () => {
  it.each([
    ['null', null],
    ['an empty object', {}],
    ['an empty list', { batchItemFailures: [] }],
    ['a null list', { batchItemFailures: null }],
  ])('%s: all succeeded', (_name, answer) => {
    expect(ids(answer)).toEqual(['a', 'b', 'c']);
  });

  it('what is named has failed, the rest succeeded', () => {
    expect(ids({ batchItemFailures: [{ itemIdentifier: 'b' }] })).toEqual(['a', 'c']);
  });

  it.each([
    ['an empty identifier', { batchItemFailures: [{ itemIdentifier: '' }] }],
    ['a null identifier', { batchItemFailures: [{ itemIdentifier: null }] }],
    ['a bad key', { batchItemFailures: [{ id: 'b' }] }],
    ['an identifier of no message', { batchItemFailures: [{ itemIdentifier: 'z' }] }],
  ])('%s: the whole batch failed', (_name, answer) => {
    expect(ids(answer)).toEqual([]);
  });
});
