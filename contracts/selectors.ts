// What a source's selectors are written in, said once for whoever stores a source and whoever reads a page: CSS, then `@name`
// where an attribute is read instead of the text.
import { compile } from 'css-select';
import { sourceSchema } from './source.ts';

/** `h3 a@title` reads an attribute, `h3 a` the text, `@data-sku` an attribute of the item itself: its CSS is empty. */
export function splitSelector(selector: string): { css: string; attribute: string | undefined } {
  const at = /^(?<css>.*?)@(?<attribute>[\w:-]+)$/u.exec(selector.trim())?.groups;
  return { css: (at?.['css'] ?? selector).trim(), attribute: at?.['attribute'] };
}

/** A source as it is taken from outside: with selectors that a page can be read with. What is stored is believed. */
export const newSourceSchema = sourceSchema.superRefine((source, context) => {
  if (source.kind !== 'shop') return;
  for (const [name, selector] of Object.entries(source.selectors ?? {})) {
    if (selector === undefined) continue;
    const css = name === 'item' ? selector : splitSelector(selector).css;
    try {
      if (css !== '') compile(css);
    } catch (error) {
      const message = `"${selector}" is no CSS selector: ${(error as Error).message}`;
      context.addIssue({ code: 'custom', path: ['selectors', name], message });
    }
  }
});
