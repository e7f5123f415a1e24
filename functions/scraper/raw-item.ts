// An item as a page writes it: texts, nothing resolved or judged.

export interface RawPrice {
  readonly text: string;
  /** Written for machines, as schema.org has it, and not for people. */
  readonly isData: boolean;
}

export interface RawItem {
  readonly sku?: string | undefined;
  readonly title?: string | undefined;
  readonly url?: string | undefined;
  readonly image?: string | undefined;
  readonly price?: RawPrice | undefined;
  readonly currency?: string | undefined;
  /** Words, a schema.org URL, or a number. */
  readonly stock?: string | undefined;
  readonly availability?: string | undefined;
}
