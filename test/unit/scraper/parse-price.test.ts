// Prices and stock as shops of several countries write them.
import { describe, expect, it } from 'vitest';
import { parsePrice, parseStock } from '../../../functions/scraper/parse-price.ts';

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
  ])('price: "%s" is %d %s', (text, amount, currency) => {
    expect(parsePrice(text)).toEqual({ amount, currency });
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
  ])('stock: %s', (text, inStock, stock) => {
    expect(parseStock(text)).toEqual({ inStock, stock });
  });
});
