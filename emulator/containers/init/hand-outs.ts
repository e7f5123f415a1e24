// Which container may read which secret, and as which user it runs. What is not in this table stays in the authority's
// volume, which no container but init/ ever mounts.
import type { LocalCredentials } from '../../instance/credentials.ts';

type SecretKey = {
  [K in keyof LocalCredentials]: LocalCredentials[K] extends { file: string } ? K : never;
}[keyof LocalCredentials];

export interface HandOut {
  /** The folder, and the name of the certificate where it gets one. */
  readonly container: string;
  readonly uid: number;
  readonly certificate: boolean;
  readonly secrets: readonly SecretKey[];
  /** Certificates of the functions that call nodes, as `<function>.pem` and `<function>.key`. */
  readonly callers: boolean;
}

const ours = 1000; // `node` of the Node image.
const official = 999; // `postgres` and `rabbitmq` of theirs.
const root = 0; // vsftpd opens port 21 and then gives everything up.

const node: Omit<HandOut, 'container'> = {
  uid: ours,
  certificate: true,
  secrets: ['database', 'broker', 'clusterKeys', 'tokens'],
  callers: false,
};
const functions: Omit<HandOut, 'container'> = {
  uid: ours,
  certificate: false,
  secrets: ['broker', 'ftp', 'smtp'],
  callers: true,
};
export const handOuts: readonly HandOut[] = [
  { container: 'node-1', ...node },
  { container: 'node-2', ...node },
  { container: 'node-3', ...node },
  { container: 'database', uid: official, certificate: true, secrets: ['database'], callers: false },
  { container: 'broker', uid: official, certificate: true, secrets: [], callers: false },
  { container: 'ftp', uid: root, certificate: true, secrets: ['ftp'], callers: false },
  { container: 'inbox', uid: ours, certificate: true, secrets: ['smtp', 'inboxToken'], callers: false },
  { container: 'event-sources', uid: ours, certificate: false, secrets: ['broker'], callers: false },
  { container: 'demo-shop', uid: ours, certificate: false, secrets: ['tokens'], callers: false },
  { container: 'deployer', ...functions },
  { container: 'lambda', ...functions },
];
