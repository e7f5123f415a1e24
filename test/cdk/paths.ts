// Who reaches whom on which port, from the security groups of a stage's templates.
import { z } from 'zod';
import { ofType, type Resource } from './synthesize.ts';

export interface Path {
  /** A group, or a network. */
  readonly from: string;
  readonly to: string;
  readonly protocol: string;
  readonly port: string;
  readonly why: string;
}

const rule = {
  IpProtocol: z.string(),
  FromPort: z.number(),
  ToPort: z.number(),
  Description: z.string(),
};
const groupSchema = z.object({
  SecurityGroupIngress: z.array(z.object({ ...rule, CidrIp: z.string() })).default([]),
});
const ingressSchema = z.object({ ...rule, GroupId: z.string(), SourceSecurityGroupId: z.string() });

export function paths(resources: readonly Resource[]): Path[] {
  return [
    ...ofType(resources, 'AWS::EC2::SecurityGroup').flatMap(({ path, Properties }) =>
      groupSchema.parse(Properties).SecurityGroupIngress.map((found) => pathOf(found.CidrIp, path, found)),
    ),
    ...ofType(resources, 'AWS::EC2::SecurityGroupIngress').map(({ Properties }) => {
      const found = ingressSchema.parse(Properties);
      return pathOf(found.SourceSecurityGroupId, found.GroupId, found);
    }),
  ];
}

function pathOf(from: string, to: string, found: z.infer<z.ZodObject<typeof rule>>): Path {
  const name = (reference: string) => reference.replace(/^Group-/, '').replace(/\.GroupId$/, '');
  return {
    from: name(from),
    to: name(to),
    protocol: found.IpProtocol,
    port: found.FromPort === found.ToPort ? String(found.FromPort) : `${found.FromPort}-${found.ToPort}`,
    why: found.Description,
  };
}
