// Writes every event it gets as a line of the file RECORD_FILE; throws while FAIL_FILE exists, and names as failed
// the SQS messages whose body begins with `poison`.
import { appendFile, access } from 'node:fs/promises';

interface Records {
  readonly Records?: readonly { readonly messageId: string; readonly body: string }[];
}

export const handler = async (event: Records): Promise<unknown> => {
  const failing = await access(process.env['FAIL_FILE'] ?? '').then(
    () => true,
    () => false,
  );
  await appendFile(process.env['RECORD_FILE'] ?? '', `${JSON.stringify({ failing, event })}\n`);
  if (failing) throw new Error('told to fail');
  const poison = event.Records?.filter(({ body }) => body.startsWith('poison')) ?? [];
  return { batchItemFailures: poison.map(({ messageId }) => ({ itemIdentifier: messageId })) };
};
