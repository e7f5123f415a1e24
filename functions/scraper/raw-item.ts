// An item as a page writes it: texts, nothing resolved or judged.

export interface RawItem {
  readonly sku?: string | undefined;
  readonly title?: string | undefined;
  readonly url?: string | undefined;
  readonly image?: string | undefined;
  readonly price?: string | undefined;
  readonly currency?: string | undefined;
  /** Words, a schema.org URL, or a number. */
  readonly stock?: string | undefined;
  readonly availability?: string | undefined;
}
