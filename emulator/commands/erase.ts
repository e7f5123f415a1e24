// `baton erase <address>`: deletes everything that holds a mail address: its watches, what it was to be told, its mails and
// a suppression. Asks the leader, which does it in one statement; prints numbers and never the address.
import type { Command } from 'commander';
import { erasedSchema } from '../../contracts/public-api.ts';
import { publicRoutes } from '../../contracts/public-routes.ts';
import { dataOption, mailAddress } from './options.ts';
import type { Finish } from './exit-codes.ts';
import { withLeader } from './leader-api.ts';
import { targetOption, type Place } from './target.ts';

export function addErase(program: Command, finish: Finish): void {
  program
    .command('erase')
    .description('delete everything that holds a mail address')
    .argument('<address>', 'in any spelling of case', mailAddress)
    .addOption(dataOption())
    .addOption(targetOption())
    .action(async (address: string, options: Place) => finish(await erase(address, options)));
}

async function erase(email: string, place: Place): Promise<number> {
  return await withLeader(place, async (leader) => {
    const { watches, mails, suppressions } = await leader
      .ask('POST', publicRoutes.erasures, erasedSchema, { email })
      .catch((cause: unknown) => {
        throw new Error('nothing was erased, or not for certain', { cause });
      });
    process.stdout.write(
      `Erased: ${watches} watches, ${mails} mails, ${suppressions} suppressions. What SMTP servers received is not ours to erase.\n`,
    );
  });
}
