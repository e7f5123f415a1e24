// Which addresses mail is sent to, whoever asks.
import { describe, expect, it } from 'vitest';
import { isMailAddress, senderAddress } from '../../../contracts/mail-address.ts';

describe('addresses', () => {
  it.each([
    ['ann@example.org', true],
    ["o'neil+tag@sub.example.org", true],
    ['ann@localhost', true],
    ['ann', false],
    ['@example.org', false],
    ['ann@', false],
    ['ann@@example.org', false],
    ['.ann@example.org', false],
    ['an..n@example.org', false],
    ['ann@-example.org', false],
    ['ann@exa_mple.org', false],
    ['änn@example.org', false],
    ['ann@example.org\n', false],
    ['ann @example.org', false],
    [`${'a'.repeat(64)}@example.org`, true],
    [`${'a'.repeat(65)}@example.org`, false],
    [`ann@${'a.'.repeat(130)}org`, false],
  ])('addresses: %j is mailed to: %j', (text, expected) => {
    expect(isMailAddress(text)).toBe(expected);
  });

  it.each([
    ['baton@example.org', 'baton@example.org'],
    ['Baton <baton@example.org>', 'baton@example.org'],
    ['"Baton, Inc." <baton@example.org>', 'baton@example.org'],
    ['Baton <a@example.org> <b@example.org>', undefined],
    ['Baton', undefined],
    ['Baton\r\n <baton@example.org>', undefined],
  ])('addresses: the sender of %j is %j', (text, expected) => {
    expect(senderAddress(text)).toBe(expected);
  });
});
