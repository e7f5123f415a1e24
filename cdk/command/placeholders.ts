// What cdk.json still says as it was shipped: good enough to synthesize, and no domain, zone, network or mailbox of anybody.
// CloudFormation would find out at the certificate, when network, database and broker have been made.
import type { AwsStage } from '../stage.ts';

/** Names and networks that are reserved for documentation: RFC 2606, RFC 5737. */
const exampleName = /(?:^|[.@])example\.(?:com|net|org)\b/;
const exampleNetwork = /^(?:192\.0\.2|198\.51\.100|203\.0\.113)\./;

/** Each setting that nobody filled in, with its value. */
export function placeholdersIn(stage: AwsStage): string[] {
  const settings: readonly (readonly [string, string])[] = [
    ['domain.name', stage.domain.name],
    ['domain.hostedZoneId', stage.domain.hostedZoneId],
    ['alarmEmail', stage.alarmEmail],
    ['mailFrom', stage.mailFrom],
    ...stage.readers.map((network) => ['readers', network] as const),
    ['smtpAddress', stage.smtpAddress],
    ...(stage.ftpAddress === undefined ? [] : [['ftpAddress', stage.ftpAddress] as const]),
    ...(stage.collector ? [['collector.url', stage.collector.url] as const] : []),
  ];
  return settings
    .filter(
      ([, value]) => exampleName.test(value) || exampleNetwork.test(value) || /^Z0+EXAMPLE\d*$/.test(value),
    )
    .map(([name, value]) => `${name} (${value})`);
}
