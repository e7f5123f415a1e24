// A raw SMTP dialogue for tests, without any client library's manners: sends lines, and returns the answers.
import { connect } from 'node:net';
import { createInterface } from 'node:readline';

const silenceMsMax = 5_000;

/** The last line of each answer, greeting first; fewer when the server hangs up or falls silent. */
export async function dialogue(port: number, commands: readonly string[]): Promise<string[]> {
  const socket = connect(port, '127.0.0.1');
  socket.setTimeout(silenceMsMax, () => socket.destroy());
  const lines = createInterface({ input: socket })[Symbol.asyncIterator]();
  const answers: string[] = [];
  try {
    for (const command of [undefined, ...commands]) {
      if (command !== undefined) socket.write(`${command}\r\n`);
      let line = await lines.next();
      while (!line.done && !/^\d{3} /.test(line.value)) line = await lines.next();
      if (line.done) break;
      answers.push(line.value);
    }
    return answers;
  } finally {
    socket.destroy();
  }
}
