// Breaking a running system, as it is asked for: by the page of a node (GET and POST /faults), and by that node of the
// launcher of a laptop, which alone knows processes and links (GET and POST of `launcherChaosPath`).
import * as z from 'zod';

export const launcherChaosPath = '/chaos';
/** GET answers `servicesViewSchema` of public-api.ts. */
export const launcherServicesPath = '/services';

/** A command of emulator/faults/grammar.ts. */
export const faultCommandSchema = z.strictObject({ command: z.string().min(1).max(500) });
/** What was done, in words. */
export const faultDoneSchema = z.object({ done: z.string() });
export type FaultDone = z.infer<typeof faultDoneSchema>;

/** What is in force, each in the words of the grammar, with its number and when it heals. */
export const faultListSchema = z.object({ faults: z.array(z.string()) });
export type FaultList = z.infer<typeof faultListSchema>;

export const launcherRefusalSchema = z.object({ error: z.string() });
