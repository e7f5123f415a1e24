// `--item-partitions`, for whatever starts a system.
import { InvalidArgumentError, Option } from 'commander';
import { itemPartitionsSchema } from '../../contracts/item-partitions.ts';

export const itemPartitionsOption = () =>
  new Option(
    '--item-partitions <count>',
    'queues into which items are split by their key; it changes only while they are empty',
  )
    .argParser(parse)
    .default(1)
    .env('BATON_ITEM_PARTITIONS');

function parse(text: string): number {
  const parsed = itemPartitionsSchema.safeParse(text);
  if (!parsed.success) throw new InvalidArgumentError(`It is ${parsed.error.issues[0]?.message}.`);
  return parsed.data;
}
