// A process that ends as a node does, for a test that signals it: prints `ready <pid>`, and `closed <name>` for each part.
import { setTimeout as sleep } from 'node:timers/promises';
import { createLifecycle } from '../../../runtime/lifecycle.ts';
import { createLogger } from '../../../runtime/logger.ts';

const logger = createLogger({ process: 'first', write: () => undefined });
const lifecycle = createLifecycle({ logger, graceMs: 5_000 });
for (const name of ['database', 'node'])
  lifecycle.opened({
    name,
    close: async () => {
      await sleep(50);
      process.stdout.write(`closed ${name}\n`);
    },
  });
setInterval(() => undefined, 1_000);
process.stdout.write(`ready ${process.pid}\n`);
