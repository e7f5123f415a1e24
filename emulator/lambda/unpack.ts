// A function's zip as a folder that its process runs in. Refuses what a deployment to Lambda would refuse too.
import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join, normalize, sep } from 'node:path';
import { unzipSync } from 'fflate';
import { unzippedBytesMax } from './limits.ts';

/**
 * @returns the folder, below `parent` and named by the zip's content.
 * @throws Error naming the function and the zip: unreadable, larger than Lambda allows, or with a path that leaves it.
 */
export async function unpackFunction({
  name,
  zipFile,
  parent,
  bytesMax = unzippedBytesMax,
}: {
  name: string;
  zipFile: string;
  parent: string;
  bytesMax?: number;
}): Promise<string> {
  try {
    const zip = await readFile(zipFile);
    const folder = join(parent, `${name}-${createHash('sha256').update(zip).digest('hex').slice(0, 16)}`);
    let bytes = 0;
    const files = unzipSync(zip, {
      filter: ({ name: path, originalSize }) => {
        const clean = normalize(path);
        if (clean.split(sep)[0] === '..' || clean.startsWith(sep) || path.includes('\\'))
          throw new Error(`it holds the path ${JSON.stringify(path)}, which leaves its folder`);
        bytes += originalSize;
        if (bytes > bytesMax) throw new Error(`it unpacks to more than ${bytesMax} bytes`);
        return !path.endsWith('/');
      },
    });
    for (const [path, contents] of Object.entries(files)) {
      await mkdir(dirname(join(folder, path)), { recursive: true });
      await writeFile(join(folder, path), contents);
    }
    return folder;
  } catch (cause) {
    throw new Error(`function ${name}: ${zipFile} cannot be unpacked: ${(cause as Error).message}`, {
      cause,
    });
  }
}
