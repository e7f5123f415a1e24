// Stock as shops of several countries write it.
import { describe, expect, it } from 'vitest';
import { parseStock } from '../../../functions/scraper/parse-stock.ts';
import { cpuMsOf } from '../../support/cpu-time.ts';

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
    ['1\u00a0250 in stock', true, 1250],
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
  it.each([
    'Nicht vorrätig',
    'Momentan nicht verfügbar',
    'Nicht mehr lieferbar',
    'Derzeit nicht auf Lager',
    'Kein Artikel auf Lager',
    'Vergriffen',
    'Demnächst verfügbar',
    'Bald wieder lieferbar',
    'Not currently in stock',
    'no longer available',
    "isn't available",
    'No stock',
    'Coming soon',
    'Pre-order',
    'out_of_stock',
    'oos',
    'https://schema.org/BackOrder',
    'Non disponible',
    'n’est plus disponible',
    'Plus en stock',
    'Bientôt disponible',
    'Indisponible',
    'Épuisée',
    'En rupture de stock',
    'No disponible',
    'Sin stock',
    'Fuera de stock',
    'Agotada',
    'Non disponibile',
    'non è disponibile',
    'Esaurita',
    'Não disponível',
    'Esgotado',
    'Niet op voorraad',
    'niet meer leverbaar',
    'Uitverkocht',
    'Slut i lager',
    'Finns inte i lager',
    'Ej i lager',
    'Ikke på lager',
    'Udsolgt',
    'Utsolgt',
    'Ei varastossa',
    'nie jest dostępny',
    'není skladem',
    'нет в наличии',
  ])('stock: "%s" says that there is none', (text) => {
    expect(parseStock(text).inStock).toBe(false);
  });
  it.each([
    'Vorrätig',
    'Sofort lieferbar',
    'Lagernd',
    'Fast ausverkauft',
    'Almost sold out',
    'Not many left',
    'Not all sizes available',
    'Nonstop available',
    'In stock, no minimum',
    'in_stock',
    'https://schema.org/LimitedAvailability',
    'Disponible',
    'Plus que 2 exemplaires en stock',
    'disponibile',
    'Disponível',
    'Op voorraad',
    'I lager',
    'På lager',
    'dostępny',
    'Skladem',
    'в наличии',
  ])('stock: "%s" says that there is some', (text) => {
    expect(parseStock(text).inStock).toBe(true);
  });
});

describe('time', () => {
  const long = 1_000_000;
  it.each([
    ['spaces', `1${' '.repeat(long)}x`],
    ['digits', '1'.repeat(long)],
    ['letters', 'a'.repeat(long)],
    ['brackets', `In stock ${'('.repeat(long)}`],
    ['words', 'in stock '.repeat(long / 10)],
    ['denials', 'not '.repeat(long / 4)],
    ['denials of something', 'nicht a '.repeat(long / 8)],
  ])('time: a megabyte of %s takes no longer than a page may', (_what, text) => {
    expect(cpuMsOf(() => parseStock(text))).toBeLessThan(1_000);
  });

  it('time: no count is read behind 200 characters or cut in two, a word for none is', () => {
    const words = 'x'.repeat(197);
    expect(parseStock(`In stock: ${' '.repeat(long)}7`)).toEqual({ inStock: true, stock: 7 });
    expect(parseStock(`${'x'.repeat(180)} Stock: 12 pieces of it`)).toEqual({ inStock: true, stock: null });
    expect(parseStock(`${words} out of stock`)).toEqual({ inStock: false, stock: null });
  });
});
