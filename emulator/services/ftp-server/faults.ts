// Faults a test may order. The list is read at every transfer and listing and may be changed while the server
// runs; a fault with `times` counts down and then is gone. An empty list changes nothing.
interface Scope {
  /** Only names that contain this. */
  readonly name?: string;
  /** How often; without it, always. */
  times?: number;
}
export type FtpFault = Scope &
  (
    | { readonly kind: 'slow'; readonly bytesPerSecond: number }
    /** RETR ends early with a clean FIN and the server still says 226. */
    | { readonly kind: 'truncate'; readonly afterBytes: number }
    /** RETR sends nothing more and keeps the connection. */
    | { readonly kind: 'stall'; readonly afterBytes: number }
    /** The data connection of RETR is reset. */
    | { readonly kind: 'reset'; readonly afterBytes: number }
    /** MLSD shows `modify=bad` for the name. */
    | { readonly kind: 'bad-listing-date' }
  );

export function takeFault<K extends FtpFault['kind']>(
  faults: FtpFault[],
  kinds: readonly K[],
  name: string,
): Extract<FtpFault, { kind: K }> | undefined {
  const fault = faults.find(
    (candidate): candidate is Extract<FtpFault, { kind: K }> =>
      (kinds as readonly string[]).includes(candidate.kind) && name.includes(candidate.name ?? ''),
  );
  if (fault?.times !== undefined) {
    fault.times -= 1;
    if (fault.times === 0) faults.splice(faults.indexOf(fault), 1);
  }
  return fault;
}
