// A person's yes before something that cannot be taken back. Where nobody sits at a terminal it is a no, never a wait.
import { createInterface } from 'node:readline/promises';

/** With this a program ends that did nothing for want of a yes; as an exit code it means that everywhere. */
export const notAgreedExitCode = 4;

/** `output`: where the question is put, and where a no is told. */
export async function agreed(output: NodeJS.WritableStream): Promise<boolean> {
  if (process.stdin.isTTY) {
    const terminal = createInterface({ input: process.stdin, output });
    const answer = await terminal.question('Go on? (yes/no) ');
    terminal.close();
    if (answer.trim() === 'yes') return true;
  }
  process.stderr.write('Nothing was done. With --yes it is done without asking.\n');
  return false;
}
