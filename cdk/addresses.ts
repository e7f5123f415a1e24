// Who is found where inside the VPC: names that stand before anything is deployed, so that no stack has to wait for
// another to learn them. Cloud Map answers them with addresses.
import type { Member } from '../contracts/environment.ts';
import { nodes } from '../contracts/topology.ts';
import { ports } from './ports.ts';
import type { AwsStage } from './stage.ts';

export const nodeIds: readonly string[] = Array.from(
  { length: nodes.countDefault },
  (_, index) => `node-${index + 1}`,
);

export function privateDomain(stage: AwsStage): string {
  return `baton-${stage.name}.internal`;
}
export function hostOf(stage: AwsStage, service: string): string {
  return `${service}.${privateDomain(stage)}`;
}

/** The function that leads to the leader, behind the load balancer. */
export function frontHost({ domain }: AwsStage): string {
  return `front.${domain.name}`;
}

export function members(stage: AwsStage): Member[] {
  return nodeIds.map((id) => ({
    id,
    udp: `${hostOf(stage, id)}:${ports.raft}`,
    internalUrl: `https://${hostOf(stage, id)}:${ports.internal}`,
    publicUrl: `https://${id}.${stage.domain.name}`,
    voter: true,
  }));
}
