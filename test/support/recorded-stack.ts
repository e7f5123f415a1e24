// A system whose processes reach each other through a recorder: the stack as `baton up` describes it, with the addresses in
// each process' environment led through ports in between. The servers, and what they demand, are untouched.
import type { StackSettings } from '../../emulator/stack/settings.ts';
import { describeStack, type Stack } from '../../emulator/stack/stack.ts';
import type { Service } from '../../emulator/services/service.ts';
import type { Recorder } from './recorder.ts';

const portOf = (address: string): number => Number(/:(?<port>\d+)\/?$/.exec(address)?.groups?.['port']);

export async function describeRecorded(settings: StackSettings, recorder: Recorder): Promise<Stack> {
  const stack = await describeStack(settings);
  const { addresses, members } = stack;
  /** Port to port, for whoever the address is given to. */
  const ways = new Map<number, number>();
  const lead = async (link: string, address: string): Promise<void> =>
    void ways.set(portOf(address), await recorder.tcp(link, portOf(address)));
  await lead('AMQP', addresses.broker);
  await lead('PostgreSQL', addresses.database);
  await lead('FTP', addresses.ftp);
  await lead('SMTP', addresses.smtp);
  for (const { internalUrl } of members) await lead('internal HTTPS', internalUrl);

  const votes = new Map(members.map(({ id }) => [id, new Map<number, number>()]));
  for (const [index, one] of members.entries())
    for (const other of members.slice(index + 1)) {
      const [forOne, forOther] = await recorder.pair('votes', portOf(one.udp), portOf(other.udp));
      votes.get(one.id)?.set(portOf(other.udp), forOne);
      votes.get(other.id)?.set(portOf(one.udp), forOther);
    }
  const led = (service: Service): Service => {
    const all = new Map([...ways, ...(votes.get(service.name) ?? [])]);
    const { command } = service;
    return service.kind === 'database'
      ? service
      : { ...service, command: { ...command, env: rewrite(command.env, all) } };
  };
  return { ...stack, first: stack.first.map(led), next: stack.next.map(led), last: stack.last.map(led) };
}

function rewrite(
  env: Readonly<Record<string, string>>,
  ways: ReadonlyMap<number, number>,
): Record<string, string> {
  return Object.fromEntries(
    Object.entries(env).map(([name, value]) => [
      name,
      value.replaceAll(/127\.0\.0\.1:(\d+)/g, (address, port) => {
        const way = ways.get(Number(port));
        return way === undefined ? address : `127.0.0.1:${way}`;
      }),
    ]),
  );
}
