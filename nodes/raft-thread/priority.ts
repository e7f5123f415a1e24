// Puts the raft thread before the rest of its process, so that a busy main thread, or a busy machine, does not make a
// living leader look dead. Linux gives each thread a priority of its own; elsewhere it is the process', and stays.
import { setPriority } from 'node:os';

const raised = -10;
const yielding = 3; // Gives way, and still gets half of what any other process gets.

/** Called on the raft thread. False: the system does not allow it. */
export function raiseThisThread(): boolean {
  return setThisThread(raised);
}

/** Called on the main thread where the raft thread could not be raised; giving way is always allowed. */
export function yieldThisThread(): void {
  setThisThread(yielding);
}

function setThisThread(priority: number): boolean {
  if (process.platform !== 'linux') return false;
  try {
    setPriority(0, priority);
    return true;
  } catch {
    return false;
  }
}
