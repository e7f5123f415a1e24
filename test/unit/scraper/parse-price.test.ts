// Prices and stock as shops of several countries write them.
import { describe, expect, it } from 'vitest';
import { parsePrice, parseStock } from '../../../functions/scraper/parse-price.ts';
import { cpuMsOf } from '../../support/cpu-time.ts';

describe('price', () => {
  it.each([
    ['£51.77', 51.77, 'GBP'],
    ['1.234,56 €', 1234.56, 'EUR'],
    ['$1,299.00', 1299, 'USD'],
    ['1 299,00 kr', 1299, undefined],
    ["CHF 1'299.50", 1299.5, 'CHF'],
    ['1,299', 1299, undefined],
    ['EUR 12', 12, 'EUR'],
    ['0.125 €', 0.125, 'EUR'],
    ['1\u00a0234,50\u00a0€', 1234.5, 'EUR'],
    ['12.345.678,90', 12345678.9, undefined],
    ['from £10.00 to £20.00', 10, 'GBP'],
    ['Sale - £5', 5, 'GBP'],
    ['£10-£20', 10, 'GBP'],
    ['A$ 20', 20, 'AUD'],
    ['9,99', 9.99, undefined],
    ['CA$51.77', 51.77, 'CAD'],
    ['C$ 51.77', 51.77, 'CAD'],
    ['CDN$ 51.77', 51.77, 'CAD'],
    ['CAD$51.77', 51.77, 'CAD'],
    ['AU$ 20', 20, 'AUD'],
    ['AU $20.00', 20, 'AUD'],
    ['HK$99', 99, 'HKD'],
    ['NZ$99', 99, 'NZD'],
    ['S$99', 99, 'SGD'],
    ['MX$99', 99, 'MXN'],
    ['NT$99', 99, 'TWD'],
    ['US$99', 99, 'USD'],
    ['US $99.50', 99.5, 'USD'],
    ['R$ 99,90', 99.9, 'BRL'],
    ['ZZ$99', 99, undefined],
    ['Plan A $99', 99, 'USD'],
    ['99 kr', 99, undefined],
    ['99,90 zł', 99.9, 'PLN'],
    ['990 Kč', 990, 'CZK'],
    ['NEW 12.00', 12, undefined],
    ['NEW! £12.00', 12, 'GBP'],
    ['€10 (US$ 11)', 10, 'EUR'],
    ['10 € / US$ 11', 10, 'EUR'],
    ['12USD', 12, 'USD'],
  ])('price: "%s" is %d %s', (text, amount, currency) => {
    expect(parsePrice(text)).toEqual({ amount, currency });
  });
  it.each([
    ['$5', 'CAD', 'CAD'],
    ['$5', 'MXN', 'MXN'],
    ['$5', 'EUR', 'USD'],
    ['$5', null, 'USD'],
    ['US$5', 'CAD', 'USD'],
    ['CA$5', 'USD', 'CAD'],
    ['HK$5', 'USD', 'HKD'],
    ['¥5', 'CNY', 'CNY'],
    ['¥5', 'EUR', 'JPY'],
  ])('price: "%s" of a shop whose currency is %s is in %s', (text, home, currency) => {
    expect(parsePrice(text, home)).toEqual({ amount: 5, currency });
  });
  it.each(['', 'call us', '-5.00 €', '£-5', '-£5', 'NaN'])('price: "%s" is no price', (text) => {
    expect(parsePrice(text)).toBeUndefined();
  });
});

describe('stock', () => {
  it.each([
    ['In stock (22 available)', true, 22],
    ['In stock', true, null],
    ['Out of stock', false, null],
    ['0 left', false, 0],
    ['ausverkauft', false, null],
    ['https://schema.org/OutOfStock', false, null],
    ['https://schema.org/InStock', true, null],
    [undefined, true, null],
    ['22', true, 22],
    ['0', false, 0],
    ['22 pcs', true, 22],
    ['1,250 in stock', true, 1250],
    ['In stock, delivery in 0-1 days', true, null],
    ['In stock, 2-3 days', true, null],
    ['In stock 2-3 days', true, null],
    ['In stock: 7', true, 7],
    ['In stock (0)', false, 0],
    ['Lieferzeit 2-3 Tage', true, null],
    ['auf Lager, Lieferzeit 1 Tag', true, null],
    ['Noch 3 Stück auf Lager', true, 3],
    ['nur noch 2 verfügbar', true, 2],
    ['Lagerbestand: 4', true, 4],
    ['Only 3 left in stock', true, 3],
    ['10+ available', true, 10],
    ['Available in 3 days', true, null],
    ['Available 3 May', true, null],
    ['Available from 12.05.2026', true, null],
    ['Sold 5 times, 3 remaining', true, 3],
    ['3 en stock', true, 3],
    ['Ships within 24 hours', true, null],
    ['out of stock, 5 on order', false, null],
  ])('stock: %s', (text, inStock, stock) => {
    expect(parseStock(text)).toEqual({ inStock, stock });
  });
});

describe('time', () => {
  const long = 1_000_000;
  it.each([
    ['spaces', `1${' '.repeat(long)}x`],
    ['a dash and spaces', `-${' '.repeat(long)}`],
    ['dots', `1${'.'.repeat(long)}1`],
    ['dashes', `1${'-'.repeat(long)}1`],
    ['digits', '1'.repeat(long)],
    ['digits and spaces', '1 '.repeat(long)],
    ['brackets', `In stock ${'('.repeat(long)}`],
    ['words', 'in stock '.repeat(long / 10)],
    ['marks', '$'.repeat(long)],
  ])('time: a megabyte of %s takes no longer than a page may', (_what, text) => {
    const tookMs = cpuMsOf(() => {
      parsePrice(text);
      parseStock(text);
    });
    expect(tookMs).toBeLessThan(1_000);
  });

  it('time: what stands behind 200 characters is not read, and no number is cut in two', () => {
    const words = 'x'.repeat(197);
    expect(parsePrice(`${words} 1299 €`)).toBeUndefined();
    expect(parsePrice(`12 € ${words} 1299 €`)).toEqual({ amount: 12, currency: 'EUR' });
    expect(parsePrice(`12${'\n'.repeat(long)}€`)).toEqual({ amount: 12, currency: 'EUR' });
    expect(parseStock(`In stock: ${' '.repeat(long)}7`)).toEqual({ inStock: true, stock: 7 });
    expect(parseStock(`${'x'.repeat(180)} Stock: 12 pieces of it`)).toEqual({ inStock: true, stock: null });
    expect(parseStock(`${words} out of stock`)).toEqual({ inStock: false, stock: null });
  });
});
