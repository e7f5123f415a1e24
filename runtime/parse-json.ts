// JSON from outside, for a schema to judge.

/** Undefined when it is no JSON: every schema refuses that, without quoting what may be a secret. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
