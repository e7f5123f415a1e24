// The parsed page: its node types and the two queries everything here is read with. Refuses a page nested so
// deep that walking it would take minutes (100,000 levels held a core for 7 s).
import { selectAll, selectOne } from 'css-select';
import { textContent, type getElementsByTagName } from 'domutils';
import { DomHandler, Parser, type parseDocument } from 'htmlparser2';

export type PageDocument = ReturnType<typeof parseDocument>;
export type PageElement = ReturnType<typeof getElementsByTagName>[number];
export type PageNode = PageDocument | PageDocument['children'][number];

const levelsMax = 1_000; // Browsers stop at 512; unclosed tags in old pages add a level each.

/** @throws Error when elements are nested deeper than 1,000 levels. */
export function parsePage(text: string): PageDocument {
  const handler = new DomHandler();
  let levels = 0;
  const parser = new Parser({
    onparserinit: (opened) => handler.onparserinit(opened),
    onreset: () => handler.onreset(),
    onend: () => handler.onend(),
    onerror: (error) => handler.onerror(error),
    ontext: (data) => handler.ontext(data),
    oncomment: (data) => handler.oncomment(data),
    oncommentend: () => handler.oncommentend(),
    oncdatastart: () => handler.oncdatastart(),
    oncdataend: () => handler.oncdataend(),
    onprocessinginstruction: (name, data) => handler.onprocessinginstruction(name, data),
    onopentag(name, attributes) {
      levels++;
      if (levels > levelsMax) throw new Error(`elements are nested deeper than ${levelsMax} levels`);
      handler.onopentag(name, attributes);
    },
    onclosetag() {
      levels--;
      handler.onclosetag();
    },
  });
  parser.end(text);
  return handler.root;
}
/** `&amp;` and `&#8364;` as what they stand for, and nothing else as HTML: a `&copy=1` is the parameter of a URL. */
export function decodeReferences(text: string): string {
  if (!text.includes('&')) return text;
  const rest = /&(?!(?:#\d+|#x[\da-f]+|[a-z][a-z\d]*);)/giu;
  return textContent(parsePage(text.replace(rest, '&amp;').replaceAll('<', '&lt;')));
}
/** Texts of all elements of that name in XML, read without a tree: that of a sitemap of 50,000 pages takes 100 MB. */
export function textsOf(xml: string, name: string): string[] {
  const texts: string[] = [];
  let text: string | undefined;
  const parser = new Parser(
    {
      onopentagname(opened) {
        if (opened === name) text = '';
      },
      ontext(data) {
        if (text !== undefined) text += data;
      },
      onclosetag(closed) {
        if (closed !== name || text === undefined) return;
        texts.push(text);
        text = undefined;
      },
    },
    { xmlMode: true },
  );
  parser.end(xml);
  return texts;
}
/** @throws Error when the selector is none. */
export function queryAll(selector: string, within: PageNode): PageElement[] {
  return selectAll<PageNode, PageElement>(selector, within);
}
/** @throws Error when the selector is none. */
export function query(selector: string, within: PageNode): PageElement | null {
  return selectOne<PageNode, PageElement>(selector, within);
}
