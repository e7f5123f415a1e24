// `baton trace <item or message>`: how an item came, hop by hop with times, or what became of a message. Asks the leader.
import { Option, type Command } from 'commander';
import type { FailureCode } from '../../contracts/failures.ts';
import { publicRoutes } from '../../contracts/public-routes.ts';
import { itemTraceSchema, messageTraceSchema } from '../../contracts/trace.ts';
import { Failure } from '../../runtime/failure.ts';
import { countOfVersions, dataOption, jsonOption } from './options.ts';
import type { Finish } from './exit-codes.ts';
import { withLeader } from './leader-api.ts';
import { targetOption, type Place } from './target.ts';
import { itemTraceText, messageTraceText } from './trace-text.ts';

export function addTrace(program: Command, finish: Finish): void {
  program
    .command('trace')
    .description('how an item came, from its page to its row and mails; or what became of a message')
    .argument('<what>', 'an item as <source>/<sku>, or the id of a message')
    .addOption(
      new Option('--versions <count>', 'how many versions of an item, 20 at most')
        .argParser(countOfVersions)
        .default(3),
    )
    .addOption(dataOption())
    .addOption(targetOption())
    .addOption(jsonOption())
    .action(async (what: string, options: Place & { json: boolean; versions: number }) =>
      finish(await trace(what, options)),
    );
}

/** `what`: `<source>/<sku>`, else a message id. */
async function trace(
  what: string,
  { json, versions, ...place }: Place & { json: boolean; versions: number },
): Promise<number> {
  return await withLeader(place, async (leader) => {
    const [source = '', ...rest] = what.split('/');
    const sku = rest.join('/');
    const path = `${publicRoutes.itemTrace(encodeURIComponent(source), encodeURIComponent(sku))}?versions=${versions}`;
    let refusal: Failure | undefined;
    const item =
      sku === ''
        ? undefined
        : await leader.ask('GET', path, itemTraceSchema).catch((error: unknown) => {
            // Ids of messages may hold a slash, too, and what stands before it need be no source.
            if (error instanceof Failure && error.code === 'REQUEST_MALFORMED') refusal = error;
            else unlessMissing(error);
          });
    if (item) return print(json ? `${JSON.stringify(item)}\n` : itemTraceText(item));
    const message = await leader
      .ask('GET', publicRoutes.messageTrace(encodeURIComponent(what)), messageTraceSchema)
      .catch(unlessMissing);
    if (!message)
      throw (
        refusal ??
        new Error(`nothing is known of an item or a message ${what}: items are named <source>/<sku>`)
      );
    print(json ? `${JSON.stringify(message)}\n` : messageTraceText(message));
  });
}

const missing: readonly FailureCode[] = ['NOT_FOUND', 'REQUEST_MALFORMED'];

function unlessMissing(error: unknown): undefined {
  if (error instanceof Failure && missing.includes(error.code)) return undefined;
  throw error;
}
function print(text: string): void {
  process.stdout.write(text);
}
