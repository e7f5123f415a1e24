// What a container asks its own node: does the process answer? Exit code 0 or 1. Never whether it leads: a container
// that fails here is replaced, and a follower is as healthy as its leader.
import { request } from 'node:http';
import { publicRoutes } from '../contracts/public-routes.ts';

const withinMs = 3_000;

const call = request(
  { host: '127.0.0.1', port: process.env['BATON_PUBLIC_PORT'], path: publicRoutes.health, timeout: withinMs },
  (answer) => process.exit(answer.statusCode === 200 ? 0 : 1),
);
call.on('timeout', () => process.exit(1));
call.on('error', () => process.exit(1));
call.end();
