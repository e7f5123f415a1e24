// Whether anybody reads what a command prints that goes on until it is ended.

/** Aborted when nobody does any more (`| head`). */
export function whileRead(): AbortSignal {
  const over = new AbortController();
  process.stdout.once('error', () => over.abort());
  return over.signal;
}
