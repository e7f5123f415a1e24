// What cannot be done to a database by a deploy alone: another major version, and a backup in the place of what was there.
import { describe, expect, test } from 'vitest';
import { deployedContract } from './contract.ts';
import { roleGrants } from './grants.ts';
import { ofType, synthesized, synthesizeWith, type Synthesized } from './synthesize.ts';

test('database: a major version may be raised by a deploy', () => {
  const [instance] = ofType(synthesized('dev').resources, 'AWS::RDS::DBInstance');
  expect(instance?.Properties).toMatchObject({ AllowMajorVersionUpgrade: true });
});

test.each(['dev', 'prod'])('database: the log of %s has slow statements, and no value of any', (stage) => {
  const groups = ofType(
    synthesized(stage).resources,
    'AWS::RDS::DBParameterGroup',
    'AWS::RDS::DBClusterParameterGroup',
  );
  expect(groups.length).toBeGreaterThan(0);
  for (const { Properties } of groups)
    expect(Properties['Parameters']).toMatchObject({
      log_min_duration_statement: '1000',
      log_parameter_max_length: '0',
    });
});

describe('database: restored from a backup', () => {
  const arn = 'arn:aws:secretsmanager:eu-central-1:123456789012:secret:rds!db-0f6e-aB3xYz';
  const askedBy = ({ resources }: Synthesized) =>
    [...deployedContract(resources, 'dev').variables]
      .filter(([name]) => name.startsWith('node-'))
      .map(([, has]) => has['BATON_DATABASE_PASSWORD_URI']);
  const readable = ({ resources }: Synthesized) =>
    roleGrants(resources)
      .filter(({ who }) => /^Task-node-\d\/TaskRole$/.test(who))
      .flatMap(({ who, resources: on }) =>
        on.filter((name) => name.includes('secret:rds!')).map((name) => `${who} ${name}`),
      );

  test('nodes read the secret that its stage names, and not that of the one before', () => {
    const restored = synthesizeWith('dev', { databaseSecretArn: arn });
    expect(askedBy(restored)).toEqual(Array.from({ length: 3 }, () => `secretsmanager:${arn}#password`));
    expect(readable(restored)).toEqual([1, 2, 3].map((id) => `Task-node-${id}/TaskRole ${arn}`));
    expect(readable(synthesized('dev'))).toHaveLength(3);
    expect(readable(synthesized('dev')).join(' ')).not.toContain(arn);
  });

  test('a secret of somebody else, or without its end, is refused by name', () => {
    for (const other of [arn.replace('rds!', 'baton/dev/'), arn.slice(0, -7), 'rds!db-0f6e-aB3xYz'])
      expect(() => synthesizeWith('dev', { databaseSecretArn: other })).toThrow(
        /stage dev: databaseSecretArn: the whole ARN/,
      );
  });
});
