// Entry of `cdk`: the stage of -c stage=<name> (cdk.json), with the same zips that the laptop runs.
// Needs no Docker, no account and no network to synthesize.
import { fileURLToPath } from 'node:url';
import { App, Tags, Validations } from 'aws-cdk-lib';
import { AwsSolutionsChecks, ServerlessChecks } from 'cdk-nag';
import { bundleAll, bundleEntry } from '../functions/bundle.ts';
import { readStage } from './stage.ts';
import { buildSystem } from './system.ts';

const app = new App();
const stage = readStage(app.node);
buildSystem(app, stage, {
  functions: await bundleAll(),
  secretKeeper: await operation('secret-keeper'),
  brokerTopology: await operation('broker-topology'),
});
Tags.of(app).add('application', 'baton');
Tags.of(app).add('stage', stage.name);
Validations.of(app).addPlugins(new AwsSolutionsChecks(app), new ServerlessChecks(app));
app.synth();

/** Functions that serve a deploy and not the system. */
async function operation(name: 'secret-keeper' | 'broker-topology'): Promise<string> {
  const entryFile = fileURLToPath(new URL(`../functions/deploy/${name}/handler.ts`, import.meta.url));
  return (await bundleEntry({ name, entryFile })).zipFile;
}
