// A stage as CloudFormation would get it: the settings of cdk.json, stand-in zips, templates as plain JSON.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { App, Validations, type IPolicyValidationPlugin } from 'aws-cdk-lib';
import { zipSync } from 'fflate';
import { z } from 'zod';
import { readStage, type Stage } from '../../cdk/stage.ts';
import { buildSystem, type SystemZips } from '../../cdk/system.ts';
import { functionNames } from '../../contracts/topology.ts';
import type { Zips } from '../../cdk/functions-stack.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const cdkJsonSchema = z.object({ app: z.string(), context: z.record(z.string(), z.unknown()) });

export const resourceSchema = z.object({
  Type: z.string(),
  Properties: z.record(z.string(), z.unknown()).default({}),
  DependsOn: z.union([z.string(), z.array(z.string())]).optional(),
  DeletionPolicy: z.string().optional(),
  UpdateReplacePolicy: z.string().optional(),
});
export type Resource = z.infer<typeof resourceSchema> & { readonly id: string };
export interface SynthesizedStack {
  /** `functions`, `network` ...: the stack's name without its stage. */
  readonly name: string;
  readonly text: string;
  readonly resources: readonly Resource[];
  readonly dependencies: readonly string[];
}
export interface Synthesized {
  readonly stage: Stage;
  readonly stacks: readonly SynthesizedStack[];
  readonly resources: readonly Resource[];
  /** Removes what synthesis wrote. */
  remove(): void;
}

export function cdkJson(): z.infer<typeof cdkJsonSchema> {
  return cdkJsonSchema.parse(JSON.parse(readFileSync(join(root, 'cdk.json'), 'utf8')));
}

/** @throws what synthesis throws; findings of `plugins` are in validation-report.json of `outdir`. */
export function synthesize(
  stageName: string,
  options: { plugins?: (app: App) => IPolicyValidationPlugin[]; context?: Record<string, unknown> } = {},
): Synthesized & { readonly outdir: string } {
  const folder = mkdtempSync(join(tmpdir(), 'baton-cdk-'));
  const outdir = join(folder, 'cdk.out');
  const app = new App({
    outdir,
    context: { ...cdkJson().context, ...options.context, stage: stageName },
  });
  const stage = readStage(app.node);
  buildSystem(app, stage, standInZips(folder));
  if (options.plugins) Validations.of(app).addPlugins(...options.plugins(app));
  const assembly = app.synth();
  const stacks = assembly.stacks.map((artifact): SynthesizedStack => {
    const template = z
      .object({ Resources: z.record(z.string(), resourceSchema).default({}) })
      .parse(artifact.template);
    return {
      name: shortName(artifact.stackName, stageName),
      text: JSON.stringify(artifact.template),
      resources: Object.entries(template.Resources).map(([id, resource]) => ({ id, ...resource })),
      dependencies: artifact.dependencies.map(({ id }) => shortName(id, stageName)),
    };
  });
  return {
    stage,
    stacks,
    outdir,
    resources: stacks.flatMap(({ resources }) => resources),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

export function ofType(resources: readonly Resource[], type: string): Resource[] {
  return resources.filter((resource) => resource.Type === type);
}
export function stackOf(system: Synthesized, name: string): SynthesizedStack {
  const stack = system.stacks.find((candidate) => candidate.name === name);
  if (!stack) throw new Error(`no stack ${name} among ${system.stacks.map((each) => each.name).join(', ')}`);
  return stack;
}

function shortName(stackName: string, stageName: string): string {
  return stackName.replace(`baton-${stageName}-`, '');
}

/** Templates are about everything but the code, which test/unit/bundle looks at. */
function standInZips(folder: string): SystemZips {
  const zipFile = join(folder, 'stand-in.zip');
  writeFileSync(zipFile, zipSync({ 'index.mjs': [new Uint8Array(), { mtime: new Date(1980, 0, 1) }] }));
  const functions = Object.fromEntries(functionNames.map((name) => [name, { zipFile }])) as Zips;
  return { functions, secretKeeper: zipFile, brokerTopology: zipFile };
}
