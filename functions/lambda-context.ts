// What our handlers read of Lambda's context. A call by hand may leave any of it out.

export interface LambdaContext {
  readonly awsRequestId?: string;
  getRemainingTimeInMillis?(): number;
}

/** `elseMs` where the caller states no time. */
export function remainingMs(context: LambdaContext, { elseMs }: { elseMs: number }): number {
  return context.getRemainingTimeInMillis?.() ?? elseMs;
}

/** Who holds a lease or a claim: this invocation alone. */
export function ownerOf(process: string, { awsRequestId }: LambdaContext): string {
  return `${process}/${awsRequestId ?? crypto.randomUUID()}`;
}
