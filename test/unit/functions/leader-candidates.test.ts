import { describe, expect, test } from 'vitest';
import { Candidates } from '../../../functions/leader-candidates.ts';
import { Failure } from '../../../runtime/failure.ts';

const refusal = new Failure('NOT_LEADER', 'node-1 does not lead');
const [one, two, three] = ['https://node-1', 'https://node-2', 'https://node-3'];

const candidates = (): Candidates => new Candidates([one, two, three], new Set([one, two, three]));
function rest(of: Candidates): string[] {
  const asked: string[] = [];
  for (let origin = of.next(); origin !== undefined; origin = of.next()) asked.push(origin);
  return asked;
}

describe('whom to ask for the leader', () => {
  test('goes through all of them once', () => {
    expect(rest(candidates())).toEqual([one, two, three]);
  });

  test('asks the one that a hint names next, and nobody twice for it', () => {
    const round = candidates();
    round.next();
    expect(round.follow(three, refusal)).toBeUndefined();
    expect(rest(round)).toEqual([three, two]);
  });

  test('asks one again that a later hint names', () => {
    const round = candidates();
    round.next();
    round.next();
    expect(round.follow(one, refusal)).toBeUndefined();
    expect(rest(round)).toEqual([one, three]);
  });

  test('does not follow a hint to itself', () => {
    const round = candidates();
    round.next();
    expect(round.follow(one, refusal)).toBeUndefined();
    expect(rest(round)).toEqual([two, three]);
  });

  test('does not connect to a host outside of the cluster, and says who named it', () => {
    const round = candidates();
    round.next();
    expect(round.follow('https://elsewhere', refusal)?.message).toBe(
      'https://node-1 names https://elsewhere as leader, which is no member',
    );
    expect(rest(round)).toEqual([two, three]);
  });

  test('follows two hints a round: nodes that name each other end it', () => {
    const round = new Candidates([one], new Set([one, two]));
    round.next();
    round.follow(two, refusal);
    round.next();
    round.follow(one, refusal);
    round.next();
    round.follow(two, refusal);
    expect(rest(round)).toEqual([]);
  });
});
