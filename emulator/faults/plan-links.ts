// Which links a cluster needs, one for each pair of nodes, and the members as each node sees them: the others behind
// their links. Pure but for the ports, which are handed out.
import { splitAddress } from '../../contracts/environment.ts';
import type { Member } from '../../contracts/environment.ts';
import type { LinkPlan, LinkSide } from './link.ts';

export interface PlannedLinks {
  readonly links: readonly LinkPlan[];
  membersSeenBy(id: string): readonly Member[];
}

export async function planLinks(
  members: readonly Member[],
  takePort: () => Promise<number>,
): Promise<PlannedLinks> {
  const links: LinkPlan[] = [];
  for (const [index, one] of members.entries())
    for (const other of members.slice(index + 1))
      links.push({
        host: splitAddress(one.udp).host,
        sides: [await sideOf(one, takePort), await sideOf(other, takePort)],
      });
  return {
    links,
    membersSeenBy: (id) =>
      members.map((member) => {
        const link = links.find(({ sides }) =>
          [id, member.id].every((name) => sides.some(({ node }) => node === name)),
        );
        const side = link?.sides.find(({ node }) => node === id);
        return member.id === id || !link || !side ? member : { ...member, udp: `${link.host}:${side.port}` };
      }),
  };
}

async function sideOf(member: Member, takePort: () => Promise<number>): Promise<LinkSide> {
  return { node: member.id, port: await takePort(), nodePort: splitAddress(member.udp).port };
}
