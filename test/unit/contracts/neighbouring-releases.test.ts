// Of two releases that run side by side the older one reads what the newer one sends (docs/decisions/0045).
import { expect, test } from 'vitest';
import * as z from 'zod';
import * as announcement from '../../../contracts/announcement.ts';
import * as event from '../../../contracts/event.ts';
import * as fileCommand from '../../../contracts/file-command.ts';
import * as itemPage from '../../../contracts/item-page.ts';
import * as mailMessage from '../../../contracts/mail-message.ts';
import * as nodeApi from '../../../contracts/node-api.ts';

const schemas = Object.entries<unknown>({
  ...announcement,
  ...event,
  ...fileCommand,
  ...itemPage,
  ...mailMessage,
  ...nodeApi,
}).filter((one): one is [string, z.ZodType] => one[1] instanceof z.ZodType);

test.each(schemas)('%s: no object of it refuses a field that it does not know', (_, schema) => {
  const described = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' });
  expect(JSON.stringify(described)).not.toContain('"additionalProperties":false');
});

test('there are such schemas, and one that refuses would be seen', () => {
  expect(schemas.length).toBeGreaterThan(20);
  const strict = z.object({ inside: z.array(z.strictObject({})) });
  expect(JSON.stringify(z.toJSONSchema(strict, { io: 'input' }))).toContain('"additionalProperties":false');
});

test('nodes serve the version that callers of this release send', () => {
  expect(nodeApi.apiVersionsRead).toContain(nodeApi.apiVersion);
});
