// A program of its own, to be killed: uploads half a file over FTPS, says so, and then waits for ever.
// Arguments: port, user, password, file of the authority, path.
import { readFile } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { Client } from 'basic-ftp';

const [port, user, password, caFile, path] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  string,
];
const client = new Client(60_000);
await client.access({
  host: '127.0.0.1',
  port: Number(port),
  user,
  password,
  secure: true,
  secureOptions: { ca: await readFile(caFile, 'utf8') },
});
async function* half(): AsyncGenerator<Buffer> {
  yield Buffer.alloc(100_000, 'sku\n');
  process.stdout.write('half\n');
  await new Promise((resolve) => setTimeout(resolve, 60_000));
}
await client.uploadFrom(Readable.from(half()), path);
