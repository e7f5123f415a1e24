// Makes each function's zip: the file that `cdk deploy` uploads and that the local Lambda host runs. The same
// source gives the same bytes. Never runs a handler, never reads the environment, never writes outside its folder.
import { createHash, randomUUID } from 'node:crypto';
import { access, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { zipSync } from 'fflate';
import { functionNames, functions, type FunctionName } from '../contracts/topology.ts';

export interface Bundle<Name extends string = string> {
  readonly name: Name;
  /** Absolute; its name carries the start of the hash. */
  readonly zipFile: string;
  /** Hash of the zip, in hex. */
  readonly sha256: string;
  readonly bytes: number;
}

/** What Lambda is told to run: the export `handler` of `index.mjs`. */
export const bundleHandler = 'index.handler';

const root = fileURLToPath(new URL('..', import.meta.url));
const zipFolderDefault = join(root, 'node_modules', '.cache', 'baton-functions');

// Packages in CommonJS call require() of Node's own modules, which an ES module does not have.
const requireBanner =
  "import{createRequire as batonCreateRequire}from'node:module';const require=batonCreateRequire(import.meta.url);";

/** @throws Error naming the function and its entry when that is missing or cannot be bundled. */
async function bundleFunction(
  name: FunctionName,
  { zipFolder = zipFolderDefault }: { zipFolder?: string } = {},
): Promise<Bundle<FunctionName>> {
  return await bundleEntry({ name, entryFile: join(root, 'functions', functions[name].entry), zipFolder });
}

/** Every function of contracts/topology.ts. @throws Error naming each function that cannot be bundled. */
export async function bundleAll(
  options: { zipFolder?: string } = {},
): Promise<Readonly<Record<FunctionName, Bundle<FunctionName>>>> {
  const results = await Promise.allSettled(functionNames.map((name) => bundleFunction(name, options)));
  const problems = results.flatMap((result) =>
    result.status === 'rejected' ? [result.reason as Error] : [],
  );
  if (problems.length > 0)
    throw new AggregateError(problems, problems.map((problem) => problem.message).join('\n'));
  const bundles = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  return Object.fromEntries(bundles.map((bundle) => [bundle.name, bundle])) as Record<
    FunctionName,
    Bundle<FunctionName>
  >;
}

/** Any module that exports `handler`; tests bundle handlers of their own. */
export async function bundleEntry<Name extends string>({
  name,
  entryFile,
  zipFolder = zipFolderDefault,
}: {
  name: Name;
  entryFile: string;
  zipFolder?: string;
}): Promise<Bundle<Name>> {
  try {
    await access(entryFile);
  } catch (cause) {
    throw new Error(`function ${name} has no entry: ${entryFile} does not exist`, { cause });
  }
  const zip = zipModule(await bundleModule({ name, entryFile }));
  const sha256 = createHash('sha256').update(zip).digest('hex');
  const zipFile = join(zipFolder, `${name}-${sha256.slice(0, 16)}.zip`);
  await mkdir(zipFolder, { recursive: true });
  if (!(await hasBytes(zipFile, sha256))) {
    // Renamed into place, so that nobody reads half a zip when two processes bundle at once.
    const partial = `${zipFile}.${randomUUID()}.part`;
    await writeFile(partial, zip);
    await rename(partial, zipFile);
  }
  return { name, zipFile, sha256, bytes: zip.length };
}

async function bundleModule({ name, entryFile }: { name: string; entryFile: string }): Promise<Uint8Array> {
  try {
    const result = await build({
      entryPoints: [entryFile],
      // Paths in the output are relative to this folder, so two checkouts give the same bytes.
      absWorkingDir: root,
      outfile: 'index.mjs',
      write: false,
      bundle: true,
      platform: 'node',
      target: 'node24',
      format: 'esm',
      mainFields: ['module', 'main'],
      banner: { js: requireBanner },
      minifySyntax: true,
      minifyWhitespace: true, // Names stay: a stack trace in a log must be readable.
      legalComments: 'eof',
      logLevel: 'silent',
    });
    const [output] = result.outputFiles;
    if (!output) throw new Error('esbuild gave no output');
    return output.contents;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`function ${name} cannot be bundled from ${entryFile}: ${reason}`, { cause });
  }
}

function zipModule(contents: Uint8Array): Uint8Array {
  return zipSync(
    {
      'index.mjs': [
        contents,
        // A zip keeps local time: the same local date everywhere, and the earliest it can say.
        { level: 9, mtime: new Date(1980, 0, 1), os: 3, attrs: 0o644 << 16 },
      ],
    },
    {},
  );
}

async function hasBytes(file: string, sha256: string): Promise<boolean> {
  try {
    return (
      createHash('sha256')
        .update(await readFile(file))
        .digest('hex') === sha256
    );
  } catch {
    return false; // Absent or unreadable: written anew.
  }
}
