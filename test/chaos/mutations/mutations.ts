// The safeguards of the path from publish to row and mail, each with the smallest change that takes it out, and what has to
// find it missing: a test, or a short chaos run whose verdict names one of these invariants.
import type { Mutation } from '../../simulation/mutations/mutations.ts';
import type { Invariant } from '../checker.ts';

export type PathMutation = Mutation &
  (
    | { readonly by: 'test'; readonly test: string }
    | { readonly by: 'chaos'; readonly breaks: readonly Invariant[] }
  );

export const pathMutations: readonly PathMutation[] = [
  {
    safeguard: 'a batch is acknowledged after the answer, never before',
    file: 'emulator/event-sources/rabbitmq.ts',
    edits: [
      {
        find: 'const over = AbortSignal.any([feed.gone, stopping.signal]);',
        replace:
          'const over = AbortSignal.any([feed.gone, stopping.signal]);\n    feed.acknowledgeUpTo(last);',
      },
      { find: 'counts.handled += batch.length;\n        feed.acknowledgeUpTo(last);', replace: '' },
    ],
    by: 'chaos',
    breaks: ['I1', 'I7'],
  },
  {
    safeguard: 'only a newer version is written',
    file: 'nodes/database/write-items.ts',
    edits: [{ find: 'WHERE items.version < excluded.version', replace: 'WHERE true' }],
    by: 'chaos',
    breaks: ['I4', 'I8'],
  },
  {
    safeguard: 'each key once in a statement',
    file: 'nodes/database/write-items.ts',
    edits: [{ find: 'SELECT DISTINCT ON (given.source, given.sku) given.*', replace: 'SELECT given.*' }],
    by: 'test',
    test: 'test/integration/database/items.test.ts',
  },
  {
    safeguard: 'a message that a snapshot made old is late',
    file: 'nodes/database/write-items.ts',
    edits: [{ find: 'given.version <= sources.snapshot_version', replace: 'false' }],
    by: 'test',
    test: 'test/integration/scraper/deaths.test.ts',
  },
  {
    safeguard: 'an intake that nobody handed out writes nothing',
    file: 'nodes/database/write-items.ts',
    edits: [{ find: 'given.version >= (sources.last_intake + 1)', replace: 'false AND 1 >= (0)' }],
    by: 'test',
    test: 'test/integration/database/items.test.ts',
  },
  {
    safeguard: 'a file that a snapshot made old is late, if only while it is applied',
    file: 'nodes/database/files.ts',
    edits: [{ find: '$6 < sources.snapshot_version', replace: '$6::bigint < 0' }],
    by: 'test',
    test: 'test/integration/database/files.test.ts',
  },
  {
    safeguard: 'a crawl file sets right what its messages left otherwise',
    file: 'nodes/database/files.ts',
    edits: [{ find: 'if (file.isCrawl) await setCrawlRight(', replace: 'if (false) await setCrawlRight(' }],
    by: 'test',
    test: 'test/integration/scraper/deaths.test.ts',
  },
  {
    safeguard: 'the fence is held FOR SHARE',
    file: 'nodes/database/write-items.ts',
    edits: [{ find: 'AND term = $1 FOR SHARE)', replace: 'AND term = $1 FOR KEY SHARE)' }],
    by: 'test',
    test: 'test/integration/database/fencing.test.ts',
  },
  {
    safeguard: 'a publish is mandatory',
    file: 'runtime/rabbitmq.ts',
    edits: [{ find: 'mandatory: true', replace: 'mandatory: false' }],
    by: 'test',
    test: 'test/integration/broker/client.test.ts',
  },
  {
    safeguard: 'a mail is claimed once',
    file: 'nodes/database/functions/mails.sql',
    edits: [
      {
        find: "IF found_mail.state NOT IN ('queued', 'unknown') THEN\n    skip",
        replace: 'IF false THEN\n    skip',
      },
    ],
    by: 'test',
    test: 'test/integration/database/outbox.test.ts',
  },
];
