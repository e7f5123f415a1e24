// Behind a function URL: answers with the event, redirects, or answers what no HTTP answer can be made of.
export const handler = async (event: { rawPath: string; rawQueryString: string }): Promise<unknown> => {
  switch (event.rawPath) {
    case '/redirect':
      return { statusCode: 307, headers: { location: `http://127.0.0.1:9/items?${event.rawQueryString}` } };
    case '/cookies':
      return { statusCode: 200, cookies: ['a=1; Secure', 'b=2'], body: 'aGk=', isBase64Encoded: true };
    case '/bad-status':
      return { statusCode: 'fine' };
    case '/bad-header':
      return { statusCode: 200, headers: { 'x-split': 'a\r\nb: c' } };
    case '/throw':
      throw new Error('secret detail');
    default:
      return event;
  }
};
