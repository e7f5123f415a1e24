// Faults a test may order. The list is read at every transfer and listing and may be changed while the server
// runs; a fault with `times` counts down and then is gone. An empty list changes nothing.
import { z } from 'zod';

const scope = {
  /** Only names that contain this. */
  name: z.string().optional(),
  /** How often; without it, always. */
  times: z.int().min(1).optional(),
};
const afterBytes = z.int().min(0);
export const ftpFaultSchema = z.discriminatedUnion('kind', [
  /** RETR ends early with a clean FIN and the server still says 226. */
  z.object({ ...scope, kind: z.literal('truncate'), afterBytes }),
  /** RETR sends nothing more and keeps the connection. */
  z.object({ ...scope, kind: z.literal('stall'), afterBytes }),
  /** The data connection of RETR is reset. */
  z.object({ ...scope, kind: z.literal('reset'), afterBytes }),
  z.object({ ...scope, kind: z.literal('slow'), bytesPerSecond: z.int().min(1) }),
  /** MLSD shows `modify=bad` for the name. */
  z.object({ ...scope, kind: z.literal('bad-listing-date') }),
]);
export type FtpFault = z.infer<typeof ftpFaultSchema>;

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
