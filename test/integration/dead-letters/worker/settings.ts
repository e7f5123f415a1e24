// What a worker is told, and when it dies: by its own kill -9, since a test that looks from outside comes at any moment, or on
// a slow machine after the end.

/** Of the step that takes it to its number of letters: not noted yet, while it is noted, and noted and not acknowledged. */
export const moments = ['before', 'during', 'after'] as const;

export interface WorkerSettings {
  readonly term: number;
  readonly database: { readonly url: string; readonly password: string; readonly ca: string };
  readonly broker: {
    readonly url: string;
    readonly username: string;
    readonly password: string;
    readonly ca: string;
  };
  readonly dies?: { readonly moment: (typeof moments)[number]; readonly afterLetters: number };
}
