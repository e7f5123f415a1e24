// Prices as shops of several countries write them.
import { describe, expect, it } from 'vitest';
import { parsePrice, readPrice } from '../../../functions/scraper/parse-price.ts';
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
  it.each([
    ['other numbers', 'inkl. 19% MwSt. 1.299,00 €', 1299, 'EUR'],
    ['other numbers', 'inkl. 19 % MwSt. 1.299,00', 1299, undefined],
    ['other numbers', '5er Pack 9,99 €', 9.99, 'EUR'],
    ['other numbers', '5er Pack 9,99', 9.99, undefined],
    ['other numbers', '2 für 5 €', 5, 'EUR'],
    ['other numbers', 'Pack of 5 £9.99', 9.99, 'GBP'],
    ['other numbers', '2 Piece - $6.75', 6.75, 'USD'],
    ['other numbers', '1 x 250 g - 4,99 €', 4.99, 'EUR'],
    ['a discount', '-20% 79,99 €', 79.99, 'EUR'],
    ['a discount', '19,90 € -20 %', 19.9, 'EUR'],
    ['a former price', 'statt 99,00 € nur 79,00 €', 79, 'EUR'],
    ['a former price', '79 € statt 99 €', 79, 'EUR'],
    ['a former price', 'Was £99.99 Now £79.99', 79.99, 'GBP'],
    ['a former price', 'UVP 99,00 € 79,00 €', 79, 'EUR'],
    ['a former price', 'UVP 99,00 €', 99, 'EUR'],
    ['a price per measure', '100 g = 1,99 €', 1.99, 'EUR'],
    ['a price per measure', '(1 kg = 19,90 €) 1,99 €', 1.99, 'EUR'],
    ['a price per measure', '19,90 €/kg 1,99 €', 1.99, 'EUR'],
    ['a price per measure', '1,99 € (19,90 € pro 1 kg)', 1.99, 'EUR'],
    ['a price per measure', '19,90 €/kg', 19.9, 'EUR'],
    ['a price per something else', '5,00 €/Stück, ab 10 4,00 €', 5, 'EUR'],
    ['a price per something else', '9,99 € / Monat', 9.99, 'EUR'],
    ['a range', 'from 5 to 9 €', 5, 'EUR'],
    ['a range', '10 - 20 €', 10, 'EUR'],
    ['a range', '5–9 €', 5, 'EUR'],
    ['a range', '10€-20€', 10, 'EUR'],
    ['a range', '841,00 zł – 995,00 zł', 841, 'PLN'],
    ['cents behind the sign', '24€99', 24.99, 'EUR'],
    ['cents behind the sign', '1.299€00', 1299, 'EUR'],
    ['two prices in one text', '10€20€', 10, 'EUR'],
    ['two prices in one text', '£10£20', 10, 'GBP'],
    ['two prices in one text', '$19.99$19.99', 19.99, 'USD'],
    ['no cents', '12,- €', 12, 'EUR'],
    ['no cents', 'CHF 12.–', 12, 'CHF'],
    ['no cents', '1 299:-', 1299, undefined],
    ['thousands', '1.299,-', 1299, undefined],
    ['thousands', '1’299.50', 1299.5, undefined],
    ['thousands', ': 3 250 000 €', 3_250_000, 'EUR'],
    ['thousands', '1.144.000 $', 1_144_000, 'USD'],
    ['thousands', '₹1,50,087.99', 150_087.99, 'INR'],
    ['thousands', 'Rs. 1,50,000', 150_000, 'INR'],
    ['thousands', '1.299.00 €', 1299, 'EUR'],
    ['thousands', 'Rp 31.500', 31_500, 'IDR'],
    ['three decimals', 'KWD 4.990', 4.99, 'KWD'],
    ['a currency’s name', '12 990 Ft', 12_990, 'HUF'],
    ['a currency’s name', '99 lei', 99, 'RON'],
    ['a currency’s name', '12 Euro', 12, 'EUR'],
    ['a currency’s name', '2 285,81 грн.', 2285.81, 'UAH'],
    ['a currency’s name', '1 930 р.', 1930, 'RUB'],
    ['a sign', '￥1,299', 1299, 'JPY'],
    ['a sign', '880.000 ₫', 880_000, 'VND'],
    ['a sign', 'US$: 12.99', 12.99, 'USD'],
    ['a sign and the code that says whose', '$20.00 CAD', 20, 'CAD'],
    ['a sign and the code that says whose', 'Was $25.00 CAD $20.00 CAD', 20, 'CAD'],
    ['another currency beside it', 'AED 8000 (USD 2179)', 8000, 'AED'],
    ['nothing to pay', 'Free!', 0, undefined],
    ['nothing to pay', 'kostenlos', 0, undefined],
    ['an offer that is not it', 'free shipping over 50 €', 50, 'EUR'],
    ['a price on request', 'Preis auf Anfrage', null, undefined],
    ['a price on request', 'Price on request', null, undefined],
  ])('price: with %s, "%s" is %s', (_what, text, amount, currency) => {
    expect(parsePrice(text)).toEqual({ amount, currency });
  });
  it.each([
    ['1.299', 'EUR', 1299],
    ['1.299', 'KWD', 1.299],
    ['1299.000', 'EUR', 1299],
    ['99 kr', 'SEK', 99],
  ])('price: "%s" of a shop whose currency is %s is %d', (text, home, amount) => {
    expect(parsePrice(text, home)?.amount).toBe(amount);
  });
  it('price: what is written as data has a dot and no groups, where it is a number', () => {
    const read = (text: string) => readPrice({ text, isData: true }, 'EUR')?.amount;
    expect(['1.299', '1299.000', '1.299,00', '1,299.00', ' 5 '].map(read)).toEqual([
      1.299, 1299, 1299, 1299, 5,
    ]);
  });
  it.each(['', 'call us', '-5.00 €', '£-5', '-£5', 'NaN', '(-38,23%)', 'free of tax'])(
    'price: "%s" is no price',
    (text) => {
      expect(parsePrice(text)).toBeUndefined();
    },
  );
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
    ['marks', '$'.repeat(long)],
  ])('time: a megabyte of %s takes no longer than a page may', (_what, text) => {
    const tookMs = cpuMsOf(() => {
      parsePrice(text);
    });
    expect(tookMs).toBeLessThan(1_000);
  });

  it('time: what stands behind 200 characters is not read, and no number is cut in two', () => {
    const words = 'x'.repeat(197);
    expect(parsePrice(`${words} 1299 €`)).toBeUndefined();
    expect(parsePrice(`12 € ${words} 1299 €`)).toEqual({ amount: 12, currency: 'EUR' });
    expect(parsePrice(`12${'\n'.repeat(long)}€`)).toEqual({ amount: 12, currency: 'EUR' });
  });
});
