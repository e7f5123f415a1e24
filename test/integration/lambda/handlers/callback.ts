// The old form, which nodejs24.x refuses.
export const handler = (
  _event: unknown,
  _context: unknown,
  callback: (error: null, answer: string) => void,
) => callback(null, 'answered');
