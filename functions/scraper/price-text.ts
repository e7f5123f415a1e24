// The text of an element that holds a price, as a person sees it: without what is struck out, and with the cents that are set
// apart from their euros by an element alone ("19<sup>99</sup>"). Pure.
import { getElementsByTagName, textContent } from 'domutils';
import type { PageNode } from './page-tree.ts';

const unseen = new Set(['script', 'style', 'template']);
const unseenOrStruckOut = new Set([...unseen, 'del', 's', 'strike']);

export function priceText(within: PageNode): string {
  // What was inserted stands in place of what was deleted, whatever else is said of that one.
  const [inserted = within] = getElementsByTagName('ins', within, true, 1);
  const kept = joined(inserted, unseenOrStruckOut);
  return /\d/u.test(kept) ? kept : joined(within, unseen);
}

function joined(within: PageNode, without: ReadonlySet<string>): string {
  const texts: string[] = [];
  const add = (node: PageNode): void => {
    if ('children' in node) {
      if (!('name' in node && without.has(node.name))) for (const child of node.children) add(child);
      return;
    }
    const text = textContent(node);
    if (text === '') return;
    if (/^\d\d(?!\d)/u.test(text) && /\d/u.test(texts.at(-1)?.at(-1) ?? '')) texts.push('.');
    texts.push(text);
  };
  add(within);
  return texts.join('');
}
