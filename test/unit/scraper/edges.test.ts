// Addresses, charsets, robots.txt and Retry-After: the pure rules at the scraper's edge.
import { describe, expect, it } from 'vitest';
import { decodePage } from '../../../functions/scraper/decode-page.ts';
import { retryAfterMs } from '../../../functions/scraper/fetch-page.ts';
import { isPublicAddress, lookupPublic } from '../../../functions/scraper/public-address.ts';
import { readRobots } from '../../../functions/scraper/robots.ts';

describe('addresses', () => {
  it.each([
    '127.0.0.1',
    '10.1.2.3',
    '172.31.255.255',
    '192.168.0.1',
    '169.254.169.254',
    '100.64.0.1',
    '0.0.0.0',
    '224.0.0.1',
    '255.255.255.255',
    '::1',
    '::',
    'fe80::1',
    'fd00::1',
    '::ffff:127.0.0.1',
    '64:ff9b::7f00:1',
    '2002:7f00:1::',
    'ff02::1',
    'not an address',
  ])('address: %s may not be fetched', (address) => {
    expect(isPublicAddress(address)).toBe(false);
  });
  it.each(['1.1.1.1', '93.184.216.34', '172.32.0.1', '2606:4700::1111'])(
    'address: %s may be fetched',
    (address) => {
      expect(isPublicAddress(address)).toBe(true);
    },
  );
  it('address: a name that resolves to loopback is refused by the lookup of the connection itself', async () => {
    const error = await new Promise<Error | null>((resolve) => {
      lookupPublic('localhost', { all: true }, resolve);
    });
    expect(error?.message).toMatch(/^localhost is the private or reserved address (?:127\.0\.0\.1|::1)/);
  });
});

describe('charset', () => {
  const bytes = (...values: number[]) => Uint8Array.from(values);
  it.each([
    ['UTF-8 by default', bytes(0xc3, 0xa9), undefined, 'é', false],
    ['the header’s label', bytes(0xe9), 'text/html; charset=ISO-8859-1', 'é', false],
    ['a byte order mark over the header', bytes(0xff, 0xfe, 0xe9, 0), 'text/html; charset=utf-8', 'é', false],
    ['labelled UTF-8 without being it', bytes(0x43, 0xe9), 'text/html; charset=utf-8', 'Cé', true],
    ['labelled latin1 and UTF-8 in truth', bytes(0xc2, 0xa3), 'text/html; charset=latin1', '£', true],
    ['an unknown label', bytes(0xc2, 0xa3), 'text/html; charset=klingon', '£', true],
    [
      'UTF-8 with one character cut in two',
      bytes(0xc3, 0xa9, 0xc3, 0xa9, 0xc3, 0x20),
      'text/html; charset=utf-8',
      'éé\ufffd ',
      true,
    ],
    ['the same without a label', bytes(0xc3, 0xa9, 0xe2, 0x80, 0x9c, 0xc3), undefined, 'é“\ufffd', true],
    [
      'latin1 with a word that is UTF-8 too',
      bytes(0xe9, 0x20, 0xe4, 0x20, 0xc3, 0xa9),
      'text/html; charset=utf-8',
      'é ä Ã©',
      true,
    ],
  ])('charset: %s', (_, input, contentType, text, noted) => {
    const decoded = decodePage(input, contentType);
    expect(decoded.text).toBe(text);
    expect(decoded.note !== undefined).toBe(noted);
  });
  it('charset: the page’s own meta is read where the header says nothing', () => {
    const page = Buffer.from('<meta charset="windows-1251"><p>\xcf', 'latin1');
    expect(decodePage(page, 'text/html').text).toContain('<p>П');
  });
});

describe('robots.txt and Retry-After', () => {
  const url = 'https://shop.example/robots.txt';
  it('robots: the rules and delay for our agent win over those for all', () => {
    const robots = readRobots(url, {
      kind: 'file',
      body: 'User-agent: *\nDisallow: /\n\nUser-agent: BatonBot\nCrawl-delay: 2\nDisallow: /private\nAllow: /private/x',
    });
    expect(robots.allows('https://shop.example/c/1')).toBe(true);
    expect(robots.allows('https://shop.example/private/y')).toBe(false);
    expect(robots.allows('https://shop.example/private/x')).toBe(true);
    expect(robots.crawlDelayMs).toBe(2_000);
  });
  it('robots: a missing file allows all, one that cannot be reached refuses all', () => {
    expect(readRobots(url, { kind: 'missing' }).allows('https://shop.example/a')).toBe(true);
    const robots = readRobots(url, { kind: 'unreachable', reason: 'HTTP 500' });
    expect(robots.allows('https://shop.example/a')).toBe(false);
    expect(robots.refusal).toContain('HTTP 500');
  });
  it.each([
    ['120', 120_000],
    ['Wed, 21 Oct 2015 07:28:30 GMT', 30_000],
    ['Wed, 21 Oct 2015 07:27:00 GMT', 0],
    ['soon', 5_000],
    [undefined, 5_000],
  ])('Retry-After: %s', (value, expected) => {
    expect(retryAfterMs(value, () => Date.UTC(2015, 9, 21, 7, 28, 0))).toBe(expected);
  });
});
