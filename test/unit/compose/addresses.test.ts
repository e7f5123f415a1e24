// compose.yaml, the addresses that containers of ours ask, and the stage that cdk deploys into LocalStack say the same names
// and ports in three languages: held together here, without Docker.
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import {
  brokerUrl,
  cluster,
  demoShopUrl,
  ftpAddress,
  lambdaHost,
  localstackUrl,
  nodes,
  smtpAddress,
} from '../../../emulator/containers/addresses.ts';
import { handOuts } from '../../../emulator/containers/init/hand-outs.ts';

const read = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');
const composeYaml = read('emulator/compose.yaml');
const { context } = JSON.parse(read('cdk.json')) as { context: { stages: { local: object } } };
/** From `services:` to `networks:`, the keys two spaces in. */
const services = [
  ...(/^services:\n(?<block>[\s\S]*?)^networks:/m.exec(composeYaml)?.groups?.['block'] ?? '').matchAll(
    /^ {2}(?<name>[a-z0-9-]+):$/gm,
  ),
].map((match) => match.groups?.['name']);

describe('compose.yaml', () => {
  test('has a service under every name that a container of ours asks', () => {
    const asked = [brokerUrl, demoShopUrl, localstackUrl, ...nodes.map(({ internalUrl }) => internalUrl)]
      .map((url) => new URL(url).hostname)
      .concat([ftpAddress, smtpAddress].map((address) => address.split(':')[0] ?? ''))
      .concat(lambdaHost.name);
    expect(services.length).toBeGreaterThan(10);
    for (const name of asked) expect(services).toContain(name);
  });

  test('mounts the secrets of every hand-out where its reader and init find them', () => {
    for (const { container } of handOuts) {
      expect(services).toContain(container);
      expect(composeYaml).toContain(`- secrets-${container}:/hand-out/${container}\n`);
      expect(composeYaml).toContain(`secrets-${container}:/run/baton:ro`);
    }
  });

  test('the stage that is deployed names the same addresses, and the nodes the same cluster', () => {
    expect(context.stages.local).toMatchObject({
      nodeUrls: nodes.map(({ internalUrl }) => internalUrl),
      brokerUrl,
      ftpAddress,
      smtpAddress,
      scrapePrivateHosts: [new URL(demoShopUrl).host],
      endpoints: { sqs: localstackUrl, dynamodb: localstackUrl },
    });
    expect(composeYaml).toContain(`BATON_CLUSTER: ${cluster}\n`);
  });

  test('every published port is bound to loopback', () => {
    const published = composeYaml.match(/^.*(?:\$\{BATON_PORT_\w+:-\d+\}|\d+-\d+):[\d-]+/gm) ?? [];
    expect(published.length).toBeGreaterThan(10);
    for (const line of published) expect(line).toMatch(/127\.0\.0\.1:/);
  });

  test('every image has a version, and none is called latest', () => {
    const images = [...composeYaml.matchAll(/^ +image: (?<image>\S+)$/gm)].map(
      (match) => match.groups?.['image'] ?? '',
    );
    expect(images.length).toBeGreaterThan(4);
    for (const image of images) expect(image).toMatch(/^baton-(?:node|emulator|ftp)$|:[\w.-]*\d[\w.-]*\}?$/);
  });
});
