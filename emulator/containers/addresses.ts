// Who is found where on the network of the compose file, for the containers of ours that ask others. compose.yaml
// names the same services; test/unit/compose holds the two and the stage `local` of cdk.json together.
export const localstackUrl = 'http://localstack:4566';
export const brokerUrl = 'amqps://broker:5671/';
export const ftpAddress = 'ftp:21';
export const smtpAddress = 'inbox:2525';
export const demoShopUrl = 'http://demo-shop:7430';
/** Where the Lambda host stands in for LocalStack's own executor. */
export const lambdaHost = { name: 'lambda', port: 7400, frontPort: 7410 } as const;
const lambdaHostUrl = `http://${lambdaHost.name}:${lambdaHost.port}`;
export const lambdaFrontUrl = `http://${lambdaHost.name}:${lambdaHost.frontPort}`;
/** Inside of the network; people see the ports that are published. */
export const nodes = [1, 2, 3].map((number) => ({
  id: `node-${number}`,
  internalUrl: `https://node-${number}:7443`,
  publicUrl: `http://node-${number}:${7100 + number}`,
}));
export const cluster = 'baton-local'; // As the stage of cdk.json is called.

export const lambdaPlaces = ['localstack', 'host'] as const;
/** Where the functions run: BATON_LAMBDA. */
export type LambdaPlace = (typeof lambdaPlaces)[number];
export function invokeUrlOf(place: LambdaPlace): string {
  return place === 'host' ? lambdaHostUrl : localstackUrl;
}
