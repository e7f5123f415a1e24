// The launcher's real control listener over faults that only note what they would do to processes: for tests of whoever
// asks it.
import { startControl } from '../../emulator/launcher/control.ts';
import { ActiveFaults, activeText } from '../../emulator/faults/active-faults.ts';
import { parseChaos } from '../../emulator/faults/grammar.ts';
import { systemStatus } from '../../emulator/cluster/status.ts';

export async function startLauncher() {
  const done: string[] = [];
  const note = (what: string) => (name: string) => {
    done.push(`${what} ${name}`);
    return 4711;
  };
  const faults = new ActiveFaults({
    nodes: ['node-1', 'node-2', 'node-3'],
    leader: async () => 'node-1',
    links: { apply: async () => void done.push('links') },
    kill: note('kill'),
    pause: note('pause'),
    resume: note('resume'),
    onChange: () => undefined,
  });
  const tokens = { token: 'token-of-the-command-line', faultsToken: 'token-of-the-nodes' };
  const notHere = async (): Promise<string> => {
    throw new Error('not in this test');
  };
  const control = await startControl(
    { port: 0, ...tokens },
    {
      status: () => systemStatus([], [], { faults: faults.list().map(activeText) }),
      faults: () => faults.list().map(activeText),
      chaos: (command) => faults.carryOut(parseChaos(command)),
      fault: notHere,
      transfer: notHere,
      restart: notHere,
      recover: notHere,
      sql: notHere,
      down: () => void done.push('down'),
    },
  );
  return {
    ...tokens,
    url: control.url,
    done,
    forNodes: { url: control.url, token: async () => tokens.faultsToken },
    async close(): Promise<void> {
      faults.close();
      await control.close();
    },
  };
}
