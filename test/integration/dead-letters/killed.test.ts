// Moving dead letters and sending them again survives kill -9 in the middle: nothing is lost, nothing has an effect twice.
import { expect, test } from 'vitest';
import { rabbitmqInstalled, type BrokerKind } from '../../support/broker.ts';
import { useDatabases } from '../database/fresh-database.ts';
import { kills, moveThroughKills } from './through-kills.ts';

const databases = useDatabases();
const kinds: BrokerKind[] = rabbitmqInstalled ? ['development', 'rabbitmq'] : ['development'];
const count = 1_000;
const stepLength = 100; // What a crash may repeat: published, but not noted yet.

test.each(kinds)(
  'with %s, kills in the middle lose no letter and apply none twice',
  { timeout: 300_000 },
  async (kind) => {
    const { kept, different, sent, counts } = await moveThroughKills({
      databases,
      kind,
      count,
      bytesEach: 1_000,
    });
    expect({ kept, different }).toEqual({ kept: count, different: count });
    expect(sent).toBeGreaterThanOrEqual(count + stepLength); // One died with a whole step of them.
    expect(sent).toBeLessThanOrEqual(count + kills * stepLength);
    expect(counts).toMatchObject({ items: count, itemVersions: count });
  },
);
