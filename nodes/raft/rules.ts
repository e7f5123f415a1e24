// The rules that decisions are explained with, and where each is argued: a section of Ongaro's dissertation
// (https://github.com/ongardie/dissertation), or the README beside this file for what a log-less election adds.
import type { Rule, StepDownRule, TransferRule } from './types.ts';

export const sections: Readonly<Record<Rule | StepDownRule | TransferRule, string>> = {
  // Votes
  granted: '3.4',
  'term-too-low': '3.3',
  'leader-is-alive': '4.2.3',
  'already-voted': '3.4',
  'not-a-voter': '4.2.1',
  'other-generation': '4.1',
  abstaining: 'README: a lost vote file',
  'cannot-persist': '3.8',
  // Leaving leadership
  'higher-term': '3.3',
  'quorum-lost': '6.2',
  transferred: '3.10',
  'second-leader': 'README: a lost vote file',
  'fence-refused': 'README: the database has the last word',
  unfit: 'README: health',
  // Handing it over
  asked: '3.10',
  'no-database': 'README: health',
  'not-the-leader': '3.10',
  'one-at-a-time': '3.10',
  'unsuitable-target': '3.10',
  'one-timeout': '3.10',
};
