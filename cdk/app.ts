// Entry of `cdk`: the stage of -c stage=<name> (cdk.json), with the same zips that the laptop runs.
// Needs no Docker, no account and no network to synthesize.
import { App, Tags, Validations } from 'aws-cdk-lib';
import { AwsSolutionsChecks, ServerlessChecks } from 'cdk-nag';
import { bundleAll } from '../functions/bundle.ts';
import { readStage } from './stage.ts';
import { buildSystem } from './system.ts';

const app = new App();
const stage = readStage(app.node);
buildSystem(app, stage, { zips: await bundleAll() });
Tags.of(app).add('application', 'baton');
Tags.of(app).add('stage', stage.name);
Validations.of(app).addPlugins(new AwsSolutionsChecks(app), new ServerlessChecks(app));
app.synth();
