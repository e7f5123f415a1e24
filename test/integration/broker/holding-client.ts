// A consumer in a process of its own, for a test that freezes it: takes all it is given, acknowledges nothing, says so
// once. Its address, login and queue come as JSON in its only argument.
import { connect } from 'amqplib';

const { port, ca, queue, credentials } = JSON.parse(process.argv[2] ?? '{}') as {
  port: number;
  ca: string;
  queue: string;
  credentials: { username: string; password: string };
};
const connection = await connect(
  { protocol: 'amqps', hostname: '127.0.0.1', port, heartbeat: 1, ...credentials },
  { ca: [ca], noDelay: true },
);
const channel = await connection.createChannel();
let held = 0;
await channel.consume(queue, () => {
  held += 1;
  if (held === 1) process.stdout.write('holding\n');
});
