// Which service of AWS a plain request is meant for: without a signature LocalStack tells them apart by the path, and takes
// most paths for buckets. The name stands where a signature has it; nobody checks the rest.
import { region } from '../local-aws.ts';

export function authorizationFor(service: 'lambda' | 'events'): string {
  return `AWS4-HMAC-SHA256 Credential=test/20260101/${region}/${service}/aws4_request, SignedHeaders=host, Signature=none`;
}
