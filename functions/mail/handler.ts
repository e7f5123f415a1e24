// Lambda handler of the queue `mail`. Checks its SMTP server once per process, before the first mail, and says in the
// log what it found. Keeps no mail and no address between invocations.
import { functions } from '../../contracts/topology.ts';
import { readEnvironment } from '../../runtime/config.ts';
import { describeError } from '../../runtime/failure.ts';
import { createLogger } from '../../runtime/logger.ts';
import { credentialsSchema } from '../../contracts/secrets.ts';
import { createSecrets } from '../../runtime/secrets.ts';
import { ownerOf, remainingMs, type LambdaContext } from '../lambda-context.ts';
import { lazyBroker } from '../lazy-broker.ts';
import { LeaderClient } from '../leader-client.ts';
import { reportingEvents } from '../report-events.ts';
import { sendMails, type MailCounts } from './send-mails.ts';
import { checkSmtp, sendMail, type SmtpServer } from './smtp.ts';

const environment = readEnvironment('mail', process.env);
const secrets = createSecrets();
const logger = createLogger({ process: 'mail' });
const leader = new LeaderClient(environment, secrets);

const budgetMsDefault = functions.mail.timeoutS * 1_000; // Where the caller states no remaining time.
const marginMs = 12_000; // For publishing what was not begun, and the answer.
const checkWithinMs = 5_000;

let checked: Promise<void> | undefined;

export const handler = async (event: unknown, context: LambdaContext): Promise<MailCounts> => {
  const deadline = performance.now() + remainingMs(context, { elseMs: budgetMsDefault }) - marginMs;
  const broker = lazyBroker(environment, { secrets, logger, name: 'mail' });
  try {
    await (checked ??= check());
    return await reportingEvents({ leader, logger }, () =>
      sendMails(
        {
          leader,
          logger,
          broker: broker.open,
          send: async (mail) => await sendMail(await smtpServer(), mail),
        },
        event,
        { deadline, owner: ownerOf('mail', context) },
      ),
    );
  } finally {
    await broker.close();
  }
};

/** Anew for each mail, so that rotated credentials are taken up. */
async function smtpServer(): Promise<SmtpServer> {
  const [host, port] = environment.BATON_SMTP_ADDRESS.split(':') as [string, string];
  const caUri = environment.BATON_SMTP_CA_URI;
  return {
    host,
    port: Number(port),
    credentials: await secrets.json(environment.BATON_SMTP_CREDENTIALS_URI, credentialsSchema),
    ca: caUri === undefined ? undefined : await secrets.text(caUri),
  };
}

/** Says it and no more: each mail finds out for itself, and its outcome is the leader's to judge. */
async function check(): Promise<void> {
  try {
    await checkSmtp(await smtpServer(), { timeoutMs: checkWithinMs });
    logger.info(`${environment.BATON_SMTP_ADDRESS} answers: EHLO, STARTTLS, AUTH`);
  } catch (error) {
    logger.emit({
      type: 'problem',
      code: 'INTERNAL',
      detail:
        `the SMTP server ${environment.BATON_SMTP_ADDRESS} cannot be used: ${describeError(error)}`.slice(
          0,
          1_000,
        ),
    });
  }
}
