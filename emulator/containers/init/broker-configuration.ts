// rabbitmq.conf of the broker's container: AMQPS and the management page over TLS, one user, nothing in clear.
// Queues are not in it: event-sources/ declares them from contracts/topology.ts.
import { join } from 'node:path';
import type { Credentials } from '../../../contracts/secrets.ts';
import { certificateNames, mountedFolder } from '../mounted.ts';

export function brokerConfiguration({ username, password }: Credentials): string {
  const tls = (prefix: string): string[] => [
    `${prefix}.cacertfile = ${join(mountedFolder, certificateNames.ca)}`,
    `${prefix}.certfile = ${join(mountedFolder, certificateNames.cert)}`,
    `${prefix}.keyfile = ${join(mountedFolder, certificateNames.key)}`,
  ];
  return [
    'listeners.tcp = none',
    'listeners.ssl.default = 5671',
    ...tls('ssl_options'),
    'ssl_options.versions.1 = tlsv1.3',
    'ssl_options.versions.2 = tlsv1.2',
    'management.ssl.port = 15671',
    ...tls('management.ssl'),
    // Made at the first boot, when there is no user yet.
    `default_user = ${username}`,
    `default_pass = ${password}`,
    // A container's memory is not the machine's: flow control has to come before the kernel's killer.
    'vm_memory_high_watermark.absolute = 300MiB',
    'disk_free_limit.absolute = 200MB',
    'log.console.level = warning',
    '',
  ].join('\n');
}
