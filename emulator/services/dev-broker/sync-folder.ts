// Makes the names in a folder durable: a new or renamed file survives a loss of power only after this.
import { open } from 'node:fs/promises';

export async function syncFolder(folder: string): Promise<void> {
  // Windows keeps names by itself and refuses to open a folder as a file.
  if (process.platform === 'win32') return;
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
