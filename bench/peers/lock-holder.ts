// One process that wants to lead by an advisory lock: waits for it, says so in one line, and holds it until it is killed.
import { readFileSync } from 'node:fs';
import { Client } from 'pg';

const [address = '', caFile = '', passwordFile = ''] = process.argv.slice(2);
const [host = '', port] = address.split(':');
const lockNumber = 7_101;

const client = new Client({
  host,
  port: Number(port),
  user: 'baton',
  database: 'baton',
  password: readFileSync(passwordFile, 'utf8').trim(),
  ssl: { ca: readFileSync(caFile, 'utf8'), rejectUnauthorized: true },
});
await client.connect();
await client.query('SELECT pg_advisory_lock($1)', [lockNumber]);
process.stdout.write('held\n');
