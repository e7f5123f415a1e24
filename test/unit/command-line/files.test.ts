// `baton files`: what it prints, and which file is meant.
import { expect, test } from 'vitest';
import type { FileView } from '../../../contracts/public-api.ts';
import { chooseRejected } from '../../../emulator/commands/files.ts';
import { filesText } from '../../../emulator/commands/files-text.ts';

const file: FileView = {
  at: '2026-11-26T12:00:05.000Z',
  fileId: '6f1c2a0e-9d3b-4c57-8a41-2f7be0c91d55',
  name: 'acme.csv',
  state: 'rejected',
  rows: 104,
  applied: 0,
  unchanged: 0,
  stale: 0,
  invalid: 90,
  vanished: 0,
  differences: 0,
  problems: ['row 2: price: expected number'],
  incomplete: null,
  reason: '90 of 104 rows are bad',
  movedTo: 'rejected/acme.baton-6f1c2a0e-9d3b-4c57-8a41-2f7be0c91d55.csv',
};

test('counts stand in columns, and below them what is wrong with which file', () => {
  const opened: FileView = {
    ...file,
    name: 'new.csv',
    state: 'opened',
    rows: null,
    reason: null,
    problems: [],
  };
  expect(filesText([file, opened]).split('\n')).toEqual([
    expect.stringMatching(/FILE +STATE +AT \(UTC\) +ROWS +APPLIED +UNCHANGED +STALE +BAD +VANISHED/),
    expect.stringMatching(/acme\.csv +rejected +2026-11-26 12:00:05 +104 +0 +0 +0 +90 +0/),
    expect.stringMatching(/new\.csv +opened .* - /),
    '',
    '  acme.csv: 90 of 104 rows are bad',
    '  acme.csv: row 2: price: expected number',
    '',
  ]);
});

test('a rejected file is named as its producer called it, or as it is called in rejected/; two of one name are told apart', () => {
  const other: FileView = { ...file, fileId: 'other', movedTo: 'rejected/acme.baton-other.csv' };
  const applied: FileView = { ...file, fileId: 'good', state: 'moved', movedTo: 'done/acme.baton-good.csv' };
  expect(chooseRejected([applied, file], 'acme.csv')).toBe(file);
  expect(chooseRejected([file, other], 'rejected/acme.baton-other.csv')).toBe(other);
  expect(() => chooseRejected([file, other], 'acme.csv')).toThrow(
    '2 rejected files are called acme.csv; say which: acme.baton-6f1c2a0e-9d3b-4c57-8a41-2f7be0c91d55.csv, acme.baton-other.csv',
  );
  expect(() => chooseRejected([applied], 'acme.csv')).toThrow(
    'none of the last 1 files is acme.csv and rejected',
  );
});
