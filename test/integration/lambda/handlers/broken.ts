// Fails while it is loaded, as a function with a wrong environment does.
if (process.env['BATON_CLUSTER'] === undefined) throw new TypeError('BATON_CLUSTER is missing');

export const handler = async (): Promise<void> => undefined;
