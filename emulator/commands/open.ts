// `baton open`: another link that opens the page as operator, since the one of the start is good once. Opens no browser:
// the terminal may be on another machine.
import { sessionKeySchema } from '../../contracts/public-api.ts';
import { publicRoutes } from '../../contracts/public-routes.ts';
import { pageLink } from '../cluster/page-link.ts';
import { withLeader } from './leader-api.ts';
import type { Place } from './target.ts';

export async function open(place: Place): Promise<number> {
  return await withLeader(place, async (leader) => {
    const key = await leader.ask('POST', publicRoutes.sessionKeys, sessionKeySchema);
    process.stdout.write(`${pageLink(leader.url, key)}\n`);
    process.stderr.write('It opens the page as operator, once, within ten minutes.\n');
  });
}
