// `cdk bootstrap` and `cdk deploy` of the functions stack into an emulator of AWS. Idempotent: without a change it takes
// a few seconds.
import { functionNames, functions } from '../../../contracts/topology.ts';
import { accountId } from '../../local-aws.ts';
import { withCdk, type CdkPlace } from './cdk.ts';

export const stackName = 'baton-local-functions';

/** The one with a URL, which cdk makes after its function: when it is there, so is the rest. */
export const lastFunction = functionNames.find((name) => functions[name].answersHttp) ?? functionNames[0];

/** @returns what cdk said of the deployment. @throws Error with the last of what it said. */
export async function deployStack(place: CdkPlace): Promise<string> {
  return await withCdk(place, async (cdk) => {
    await cdk('bootstrap', `aws://${accountId}/${place.region}`);
    return await cdk('deploy', stackName, '--require-approval', 'never');
  });
}
