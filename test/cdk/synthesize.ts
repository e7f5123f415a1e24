// A stage as CloudFormation would get it: the settings of cdk.json, stand-in zips, templates as text and as resources
// whose references are resolved. Synthesized once for all tests of a process.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { App } from 'aws-cdk-lib';
import { AssetManifestArtifact, PATH_METADATA_ENABLE_CONTEXT } from 'aws-cdk-lib/cx-api';
import { zipSync } from 'fflate';
import { z } from 'zod';
import { readStage, type Stage } from '../../cdk/stage.ts';
import { buildSystem, type SystemZips } from '../../cdk/system.ts';
import { functionNames } from '../../contracts/topology.ts';
import type { Zips } from '../../cdk/functions-stack.ts';
import { resolver, type Template } from './resolve.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const cdkJsonSchema = z.object({ app: z.string(), context: z.record(z.string(), z.unknown()) });
const resourceSchema = z.object({
  Type: z.string(),
  Properties: z.record(z.string(), z.unknown()).default({}),
  DependsOn: z.union([z.string().transform((only) => [only]), z.array(z.string())]).default([]),
  DeletionPolicy: z.string().optional(),
  Metadata: z.object({ 'aws:cdk:path': z.string().default('') }).default({ 'aws:cdk:path': '' }),
});
const imageSchema = z.object({
  dockerFile: z.string().default('Dockerfile'),
  dockerBuildArgs: z.record(z.string(), z.string()).default({}),
});
const manifestSchema = z.object({
  dockerImages: z.record(z.string(), z.object({ source: imageSchema })).default({}),
});
const templateSchema = z.object({
  Resources: z.record(z.string(), resourceSchema).default({}),
  Outputs: z.record(z.string(), z.object({ Value: z.unknown() })).default({}),
});

export interface Resource {
  readonly id: string;
  readonly stack: string;
  /** In the tree of constructs, without the stack. */
  readonly path: string;
  readonly Type: string;
  /** Without references: see resolve.ts. */
  readonly Properties: Readonly<Record<string, unknown>>;
  /** Paths. */
  readonly dependsOn: readonly string[];
  readonly DeletionPolicy: string | undefined;
}
export interface SynthesizedStack {
  /** `functions`, `network` ...: the stack's name without its stage. */
  readonly name: string;
  /** JSON, as CloudFormation gets it. */
  readonly text: string;
  readonly resources: readonly Resource[];
  readonly dependencies: readonly string[];
  /** `aws://account/region`, as far as they are known before a deploy. */
  readonly environment: string;
}
export interface Synthesized {
  readonly stage: Stage;
  /** What images are built of: Dockerfile or folder, and arguments. */
  readonly images: readonly z.infer<typeof imageSchema>[];
  readonly stacks: readonly SynthesizedStack[];
  readonly resources: readonly Resource[];
}

export function cdkJson(): z.infer<typeof cdkJsonSchema> {
  return cdkJsonSchema.parse(JSON.parse(readFileSync(join(root, 'cdk.json'), 'utf8')));
}

const known = new Map<string, Synthesized>();

export function synthesized(stageName: string): Synthesized {
  const found = known.get(stageName) ?? synthesize(stageName);
  known.set(stageName, found);
  return found;
}

/**
 * @throws what synthesis throws. `prepare` runs before the templates are made; `context` is what `-c` would give; `code` is
 * what stands in for that of every function.
 */
export function synthesize(
  stageName: string,
  prepare: (app: App) => void = () => undefined,
  { context = {}, code = '' }: { context?: Readonly<Record<string, unknown>>; code?: string } = {},
): Synthesized {
  const folder = mkdtempSync(join(tmpdir(), 'baton-cdk-'));
  try {
    const app = new App({
      outdir: join(folder, 'cdk.out'),
      // The command line turns paths on by itself.
      context: {
        ...cdkJson().context,
        ...context,
        stage: stageName,
        [PATH_METADATA_ENABLE_CONTEXT]: true,
      },
    });
    const stage = readStage(app.node);
    buildSystem(app, stage, standInZips(folder, code));
    prepare(app);
    const assembly = app.synth();
    const images = assembly.artifacts
      .filter((artifact) => artifact instanceof AssetManifestArtifact)
      .flatMap(({ contents }) => Object.values(manifestSchema.parse(contents).dockerImages))
      .map(({ source }) => source);
    const stacks = assembly.stacks.map((artifact) => ({
      artifact,
      template: templateSchema.parse(artifact.template),
    }));
    const templates = new Map(
      stacks.map(({ artifact, template }) => [artifact.stackName, unresolved(template)]),
    );
    const short = (stackName: string) => stackName.replace(`baton-${stageName}-`, '');
    const described = stacks.map(({ artifact, template }): SynthesizedStack => {
      const own = named(templates, artifact.stackName);
      const resolve = resolver(own, (name) => named(templates, name));
      const pathOf = (id: string) => own.resources.get(id)?.path ?? id;
      return {
        name: short(artifact.stackName),
        text: JSON.stringify(artifact.template),
        resources: Object.entries(template.Resources).map(([id, resource]) => ({
          id,
          stack: short(artifact.stackName),
          path: pathOf(id),
          Type: resource.Type,
          Properties: resolve(resource.Properties) as Record<string, unknown>,
          dependsOn: resource.DependsOn.map(pathOf),
          DeletionPolicy: resource.DeletionPolicy,
        })),
        environment: artifact.environment.name,
        dependencies: artifact.dependencies
          .map(({ id }) => short(id))
          .filter((id) => !id.endsWith('.assets')),
      };
    });
    return { stage, images, stacks: described, resources: described.flatMap(({ resources }) => resources) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A stage of cdk.json with other settings. */
export function synthesizeWith(stageName: string, settings: Readonly<Record<string, unknown>>): Synthesized {
  const stages = cdkJson().context['stages'] as Record<string, object>;
  return synthesize(stageName, undefined, {
    context: { stages: { ...stages, [stageName]: { ...stages[stageName], ...settings } } },
  });
}

export function ofType(resources: readonly Resource[], ...types: readonly string[]): Resource[] {
  return resources.filter(({ Type }) => types.includes(Type));
}
export function stackOf(system: Synthesized, name: string): SynthesizedStack {
  const stack = system.stacks.find((candidate) => candidate.name === name);
  if (!stack) throw new Error(`no stack ${name} among ${system.stacks.map((each) => each.name).join(', ')}`);
  return stack;
}

function unresolved({ Resources, Outputs }: z.infer<typeof templateSchema>): Template {
  return {
    resources: new Map(
      Object.entries(Resources).map(([id, { Type, Properties, Metadata }]) => [
        id,
        { Type, Properties, path: constructPath(Metadata['aws:cdk:path']) || id },
      ]),
    ),
    outputs: new Map(Object.entries(Outputs).map(([name, { Value }]) => [name, Value])),
  };
}
function named(templates: ReadonlyMap<string, Template>, name: string): Template {
  const template = templates.get(name);
  if (!template) throw new Error(`a template refers to the stack ${name}, which does not exist`);
  return template;
}
/** `baton-dev-nodes/Task-node-1/TaskRole/Resource` is `Task-node-1/TaskRole`. */
function constructPath(path: string): string {
  return path
    .split('/')
    .slice(1)
    .join('/')
    .replace(/\/(?:Resource|Default)$/, '');
}

/** Templates are about everything but the code, which test/unit/functions looks at. */
function standInZips(folder: string, code: string): SystemZips {
  const zipFile = join(folder, 'stand-in.zip');
  writeFileSync(zipFile, zipSync({ 'index.mjs': [Buffer.from(code), { mtime: new Date(1980, 0, 1) }] }));
  const functions = Object.fromEntries(functionNames.map((name) => [name, { zipFile }])) as Zips;
  return { functions, secretKeeper: zipFile, brokerTopology: zipFile };
}
