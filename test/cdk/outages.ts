// What users can lose, and how the measurements look meanwhile: what docs/runbook.md promises an alarm for, and within how
// long. And what happens in normal use, which raises none.
import type { Minute, World } from './cloudwatch.ts';

/** Of the values that are missing where a function was not called, or what is measured is not there. */
const none = undefined;

/** A minute of a stage that works and has something to do. */
const busy: Minute = {
  LeaderWrites: 2,
  TermsClaimed: 0,
  FenceRefusals: 0,
  CertificateDaysLeft: 60,
  'SQS NumberOfMessagesDeleted': 30,
  'ApplicationELB HealthyHostCount': 3,
  Ticks: 2,
  TicksFailed: 0,
  FilesRejected: 0,
  SourceIntervals: 1.2,
  DeadLettersOfDeliver: 0,
  DeadLettersOfFtpSync: 0,
  DeadLettersOfMail: 0,
  MailsSent: 1,
  MailsFailed: 0,
  MailsPostponed: 0,
  ProblemsOfDeliver: 0,
  ProblemsOfFtpSync: 0,
  ProblemsOfMail: 0,
  ProblemsOfAnnounce: 0,
  'Lambda Invocations scraper': 1,
  'Lambda Invocations deliver': 20,
  'Lambda Invocations mail': 1,
  ...ofFunctions('Errors', { scraper: 0, deliver: 0, announce: 0, redirect: 0, 'ftp-sync': 0, mail: 0 }),
  ...ofFunctions('Throttles', { scraper: 0, deliver: 0, announce: 0, redirect: 0, 'ftp-sync': 0, mail: 0 }),
  'AmazonMQ ConnectionCount': 9,
  'AmazonMQ MessageReadyCount': 3,
  'AmazonMQ RabbitMQMemUsed': 0.3e9,
  'AmazonMQ RabbitMQMemLimit': 1e9,
  'AmazonMQ RabbitMQDiskFree': 50e9,
  'AmazonMQ RabbitMQDiskFreeLimit': 5e9,
  'RDS CPUUtilization': 20,
  'RDS FreeStorageSpace': 15e9,
};
/** A stage in which nothing happens: no shop, no partner, no mail. Functions that are not called measure nothing. */
const quiet: Minute = {
  ...busy,
  SourceIntervals: none,
  ...without('DeadLettersOfDeliver', 'DeadLettersOfMail', 'MailsSent', 'MailsFailed', 'MailsPostponed'),
  ...without('ProblemsOfDeliver', 'ProblemsOfMail', 'Lambda Invocations deliver', 'Lambda Invocations mail'),
  ...ofFunctions('Errors', { deliver: none, mail: none, redirect: none }),
  ...ofFunctions('Throttles', { deliver: none, mail: none, redirect: none }),
  'AmazonMQ MessageReadyCount': 0,
};
const always =
  (...changes: readonly Minute[]): World =>
  () =>
    Object.assign({}, busy, ...changes) as Minute;

const noBroker: Minute = Object.fromEntries(
  Object.keys(busy)
    .filter((name) => name.startsWith('AmazonMQ'))
    .map((name) => [name, none]),
);
const noDatabase: Minute = {
  'RDS CPUUtilization': none,
  'RDS FreeStorageSpace': none,
  ...without('SourceIntervals'),
};
/** The scraper is called once a minute and is not called again for an error. */
const noScraping: Minute = { 'Lambda Errors scraper': 1, ...nothingDelivered() };
function nothingDelivered(): Minute {
  return without(
    'Lambda Invocations deliver',
    'Lambda Errors deliver',
    'DeadLettersOfDeliver',
    'ProblemsOfDeliver',
  );
}

export interface Outage {
  /** What users lose. */
  readonly lost: string;
  readonly because: string;
  readonly world: World;
  readonly alarm: string;
  /** Minutes, at the latest. */
  readonly within: number;
  /** The stage, where it is of one alone. */
  readonly stage?: string;
}

export const outages: readonly Outage[] = [
  {
    lost: 'nothing is written',
    because: 'the database is gone, full, locked, read-only or refuses the password',
    world: always(noDatabase, noScraping, { LeaderWrites: none, TicksFailed: 2 }),
    alarm: 'no-writer',
    within: 4,
  },
  {
    lost: 'nothing is written',
    because: 'fewer than a majority of the nodes run or hear each other',
    world: always(noScraping, {
      LeaderWrites: none,
      'SQS NumberOfMessagesDeleted': 0,
      TicksFailed: 2,
      'ApplicationELB HealthyHostCount': 1,
    }),
    alarm: 'no-leader',
    within: 3,
  },
  {
    lost: 'the page and the API answer nobody',
    because: 'no node is there',
    world: always(noDatabase, noScraping, {
      LeaderWrites: none,
      'SQS NumberOfMessagesDeleted': none,
      TicksFailed: 2,
      'ApplicationELB HealthyHostCount': none,
    }),
    alarm: 'no-leader',
    within: 3,
  },
  {
    lost: 'the front leads nowhere',
    because: 'announce is not called',
    world: always({ 'SQS NumberOfMessagesDeleted': 0 }),
    alarm: 'no-leader',
    within: 3,
  },
  {
    lost: 'the front leads nowhere',
    because: 'announce cannot write the directory',
    world: always({ ProblemsOfAnnounce: 6 }),
    alarm: 'problems',
    within: 10,
  },
  {
    lost: 'one more failure stops everything',
    because: 'a node is gone',
    world: always({ 'ApplicationELB HealthyHostCount': 2 }),
    alarm: 'node-away',
    within: 16,
  },
  {
    lost: 'shops are not read',
    because: 'the schedule does not call the scraper',
    world: always({ 'Lambda Invocations scraper': none, 'Lambda Errors scraper': none }, nothingDelivered()),
    alarm: 'no-scraper',
    within: 15,
  },
  {
    lost: 'shops are not read',
    because: 'the scraper fails each time: broker, leader or its secrets are away',
    world: always(noScraping),
    alarm: 'function-errors',
    within: 10,
  },
  {
    lost: 'one source is out of date',
    because: 'its shop shows nothing, or its partner sends nothing',
    world: always({ SourceIntervals: 3.1 }),
    alarm: 'source-overdue',
    within: 10,
  },
  {
    lost: 'items and mails wait',
    because: 'RabbitMQ is gone',
    world: always(noBroker, noScraping),
    alarm: 'broker-away',
    within: 15,
  },
  {
    lost: 'items and mails wait',
    because: 'the mappings are switched off, or their login is refused',
    world: (minute) => ({
      ...quiet,
      'AmazonMQ MessageReadyCount': 3 * (minute + 1),
    }),
    alarm: 'nothing-consumed',
    within: 20,
  },
  {
    lost: 'items wait',
    because: 'the leader is too slow',
    world: always({ 'AmazonMQ MessageReadyCount': 4_900 }),
    alarm: 'queue-depth',
    within: 20,
  },
  {
    lost: 'items wait',
    because: 'the leader refuses what deliver sends',
    world: always({ ProblemsOfDeliver: 4 }),
    alarm: 'problems',
    within: 10,
  },
  {
    lost: 'an item, a file message or a mail is put aside',
    because: 'it breaks its contract',
    world: always({ DeadLettersOfDeliver: 1 }),
    alarm: 'dead-letters',
    within: 10,
  },
  {
    lost: "partners' files wait",
    because: 'the FTP server is gone, or refuses its login or shows a certificate that ended',
    world: always({ TicksFailed: 2 }),
    alarm: 'sync-fails',
    within: 15,
  },
  {
    lost: "partners' files wait",
    because: 'the FTP server answers nothing, so that a look takes half a minute',
    world: always({ TicksFailed: 1 }),
    alarm: 'sync-fails',
    within: 15,
  },
  {
    lost: "partners' files wait",
    because: 'ftp-sync is not called',
    world: always({
      ...without('Ticks', 'TicksFailed', 'FilesRejected', 'ProblemsOfFtpSync', 'Lambda Errors ftp-sync'),
    }),
    alarm: 'sync-lag',
    within: 15,
  },
  {
    lost: 'a file is not taken',
    because: 'it was rejected',
    world: (minute) => ({ ...busy, FilesRejected: minute === 0 ? 1 : 0 }),
    alarm: 'file-rejected',
    within: 5,
  },
  {
    lost: 'a file is not taken',
    because: 'its name is not safe, or the leader fails at it each time',
    world: always({ ProblemsOfFtpSync: 1 }),
    alarm: 'problems',
    within: 10,
  },
  {
    lost: 'no mail goes out',
    because: 'the SMTP server is gone or refuses its login',
    // One mail, tried as often as the outbox says: nodes/database/functions/mails.sql.
    world: (minute) => ({ ...busy, MailsSent: 0, MailsPostponed: triesOfAMail(minute) }),
    alarm: 'mail-postponed',
    within: 60,
  },
  {
    lost: 'a mail is given up',
    because: 'it was refused for good or for a day, or was three times in doubt',
    world: (minute) => ({ ...busy, MailsFailed: minute === 0 ? 1 : 0 }),
    alarm: 'mail-failed',
    within: 5,
  },
  {
    lost: 'everything is late',
    because: 'the database is at its limit',
    world: always({ 'RDS CPUUtilization': 97 }),
    alarm: 'database-busy',
    within: 20,
  },
  {
    lost: 'everything is late',
    because: 'the account has no room for another execution',
    world: always({ 'Lambda Throttles deliver': 3 }),
    alarm: 'function-throttles',
    within: 15,
  },
  {
    lost: 'writes stop for a moment, again and again',
    because: 'leadership moves',
    world: (minute) => ({ ...busy, TermsClaimed: minute % 5 === 0 ? 1 : 0 }),
    alarm: 'term-churn',
    within: 120,
  },
  {
    lost: 'nothing: the fence held',
    because: 'a node that no longer leads tried to write',
    world: (minute) => ({ ...busy, FenceRefusals: minute === 0 ? 1 : 0 }),
    alarm: 'fence-refused',
    within: 5,
  },
  {
    lost: 'nothing yet',
    because: 'the database has less than 2 GB left',
    world: always({ 'RDS FreeStorageSpace': 1.9e9 }),
    alarm: 'database-full',
    within: 10,
    stage: 'dev',
  },
  {
    lost: 'nothing yet',
    because: 'RabbitMQ nears the memory at which it takes nothing',
    world: always({ 'AmazonMQ RabbitMQMemUsed': 0.9e9 }),
    alarm: 'broker-memory',
    within: 20,
  },
  {
    lost: 'nothing yet',
    because: 'RabbitMQ nears the free disk at which it takes nothing',
    world: always({ 'AmazonMQ RabbitMQDiskFree': 5.5e9 }),
    alarm: 'broker-disk',
    within: 20,
  },
  {
    lost: 'nothing yet',
    because: 'a certificate of the cluster was not renewed',
    world: always({ CertificateDaysLeft: 20 }),
    alarm: 'certificate-ends',
    within: 2 * 24 * 60,
  },
];

/** What happens in normal use, for a day. */
export const normal: Readonly<Record<string, World>> = {
  'a stage that works': always(),
  'a stage without a source, a file or a mail': always(quiet),
  'a deploy: node after node, three minutes each, and leadership handed over': (minute) => ({
    ...busy,
    'ApplicationELB HealthyHostCount': minute < 10 ? 2 : 3,
    LeaderWrites: [2, 5, 8].includes(minute) ? 0 : 2,
    TermsClaimed: [2, 5, 8].includes(minute) ? 1 : 0,
  }),
  'a leader that dies, with calls that fail meanwhile': (minute) => ({
    ...busy,
    LeaderWrites: minute === 0 ? 0 : 2,
    TermsClaimed: minute === 0 ? 1 : 0,
    TicksFailed: minute === 0 ? 1 : 0,
    'Lambda Errors scraper': minute === 0 ? 1 : 0,
  }),
  'a large shop, whose items fill the queue up to where the scraper pauses, again and again': (minute) => ({
    ...busy,
    'AmazonMQ MessageReadyCount': minute % 7 === 6 ? 1_500 : 4_900,
  }),
  'a shop that is read once a day': (minute) => ({ ...quiet, SourceIntervals: (minute % 1_440) / 1_440 }),
  'a file that takes a quarter of an hour, with looks that find the lease held': always(quiet),
  'a mail that is taken at the second greeting, five minutes later': (minute) => ({
    ...quiet,
    MailsPostponed: minute < 5 ? triesOfAMail(minute) : none,
    MailsSent: minute === 5 ? 1 : none,
  }),
};

/** How often one mail was tried in that minute: after 5 s, and after twice as long each time, up to an hour. */
function triesOfAMail(minute: number): number {
  let [at, tries] = [0, 0];
  for (let attempt = 1; at < (minute + 1) * 60; attempt++) {
    if (at >= minute * 60) tries++;
    at += Math.min(3_600, 5 * 2 ** (attempt - 1));
  }
  return tries;
}

function without(...names: readonly string[]): Minute {
  return Object.fromEntries(names.map((name) => [name, none]));
}
function ofFunctions(metric: string, values: Readonly<Record<string, number | undefined>>): Minute {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [`Lambda ${metric} ${name}`, value]),
  );
}
