// Why a finding of cdk-nag stands: said at the construct it is about, with a reason worth reading.
import { Validations } from 'aws-cdk-lib';
import type { IConstruct } from 'constructs';

/** `id` as cdk-nag prints it, with the finding in brackets where a rule has several. */
export function acknowledge(construct: IConstruct, id: string, reason: string): void {
  Validations.of(construct).acknowledge({ id, reason });
}
