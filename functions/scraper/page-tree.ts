// The parsed page: its node types and the two queries everything here is read with. Keeps css-select's
// generics in one place.
import { selectAll, selectOne } from 'css-select';
import type { getElementsByTagName } from 'domutils';
import { parseDocument } from 'htmlparser2';

export type PageDocument = ReturnType<typeof parseDocument>;
export type PageElement = ReturnType<typeof getElementsByTagName>[number];
export type PageNode = PageDocument | PageDocument['children'][number];

export function parsePage(text: string, options: { xmlMode?: boolean } = {}): PageDocument {
  return parseDocument(text, options);
}
/** @throws Error when the selector is none. */
export function queryAll(selector: string, within: PageNode): PageElement[] {
  return selectAll<PageNode, PageElement>(selector, within);
}
/** @throws Error when the selector is none. */
export function query(selector: string, within: PageNode): PageElement | null {
  return selectOne<PageNode, PageElement>(selector, within);
}
