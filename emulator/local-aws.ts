// The account and the region of every emulator of AWS here, and of what stands in for AWS itself. Nobody checks the
// credentials, but the SDK insists on some.
export const accountId = '000000000000'; // As LocalStack's, so that ARNs look alike.
export const region = 'us-east-1';
export const credentials = { accessKeyId: 'local', secretAccessKey: 'local' };
/** The one account that LocalStack makes by itself. */
export const localstackCredentials = { accessKeyId: 'test', secretAccessKey: 'test' };
