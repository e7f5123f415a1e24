// Looks once a minute at how long ago each source brought something, so that one that stopped in silence is seen: every
// node says it on /health, and the one that leads logs an event a source, from which CloudWatch makes its metrics.
// A look changes nothing and needs no term: two leaders that overlap say the same twice.
import type { EventDraft } from '../../contracts/event.ts';
import type { SourceStanding } from '../../contracts/public-api.ts';
import { overdueAfterIntervals } from '../../contracts/source.ts';
import { schedules } from '../../contracts/topology.ts';
import { describeError } from '../../runtime/failure.ts';
import type { Emit } from '../../runtime/logger.ts';
import { oneAtATime } from '../../runtime/one-at-a-time.ts';
import type { Metrics } from './metrics.ts';
import type { Problems } from './problems.ts';
import type { SourceAge, Store } from '../store.ts';

const lookEveryMs = 60_000;
/** A query of CloudWatch Metrics Insights returns no more series than this. The most overdue come first. */
const sourcesJudgedMax = 500;
const named = 3;

/** @returns the most overdue first, and whether there are sources beyond those. */
export async function judgeSources(
  store: Pick<Store, 'sourceAges'>,
): Promise<{ standings: SourceStanding[]; isCutOff: boolean }> {
  const { everyMinutes } = schedules.find(({ name }) => name === 'baton-scrape') ?? { everyMinutes: 1 };
  const ages = await store.sourceAges({ limit: sourcesJudgedMax + 1, intervalSMin: everyMinutes * 60 });
  return {
    standings: ages.slice(0, sourcesJudgedMax).map(judge),
    isCutOff: ages.length > sourcesJudgedMax,
  };
}

function judge(age: SourceAge): SourceStanding {
  const { ageS, intervalS } = age;
  const intervals = intervalS === null ? null : Math.round((ageS / intervalS) * 100) / 100;
  return {
    ...age,
    ageS: Math.round(ageS),
    intervals,
    isOverdue: intervals !== null && intervals > overdueAfterIntervals,
  };
}

export function watchSources(options: {
  store: Pick<Store, 'sourceAges'>;
  problems: Problems;
  metrics: Pick<Metrics, 'sourcesJudged'>;
  leads: () => boolean;
  emit: Emit;
  report: (error: unknown) => void;
}) {
  const { store, problems, metrics, leads, emit, report } = options;
  let reported = '';
  const look = oneAtATime(async () => {
    try {
      const { standings, isCutOff } = await judgeSources(store);
      metrics.sourcesJudged(standings);
      problems.say('sources', overdueWords(standings));
      problems.say('sources cut', incompleteWords(standings));
      problems.say('sources empty', emptyWords(standings));
      problems.say(
        'sources beyond',
        isCutOff
          ? `there are more than ${sourcesJudgedMax} sources: those beyond the ${sourcesJudgedMax} most overdue are not judged`
          : null,
      );
      if (leads()) for (const standing of standings) emit(judged(standing));
      reported = '';
    } catch (error) {
      // What was said stands: it is not known to be over. Said once, since a database that is away is away for many looks.
      if (reported !== describeError(error)) report(error);
      reported = describeError(error);
    }
  });
  const timer = setInterval(() => void look(), lookEveryMs);
  return { name: 'source watch', look, close: (): void => clearInterval(timer) };
}

function judged({ source, kind, ageS, intervalS, intervals, isOverdue }: SourceStanding): EventDraft {
  return { type: 'source.judged', source, kind, ageS, intervalS, intervals, overdue: isOverdue };
}

function overdueWords(standings: readonly SourceStanding[]): string | null {
  const overdue = standings
    .filter(({ isOverdue }) => isOverdue)
    .map(
      ({ source, kind, ageS }) =>
        `${source} (no good ${kind === 'shop' ? 'crawl' : 'file'} for ${minutes(ageS)})`,
    );
  if (overdue.length === 0) return null;
  return `${overdue.length === 1 ? 'a source is' : `${overdue.length} sources are`} overdue (nothing good for more than ${overdueAfterIntervals} of ${overdue.length === 1 ? 'its' : 'their'} intervals): ${first(overdue)}`;
}

function incompleteWords(standings: readonly SourceStanding[]): string | null {
  const cut = standings.flatMap(({ source, incomplete }) =>
    incomplete === null ? [] : [`${source} (${incomplete})`],
  );
  if (cut.length === 0) return null;
  return `${cut.length === 1 ? 'a shop is' : `${cut.length} shops are`} not crawled whole, so that items are missing and none counts as vanished: ${first(cut)}`;
}

function emptyWords(standings: readonly SourceStanding[]): string | null {
  const nothing = standings.flatMap(({ source, empty }) => (empty === null ? [] : [`${source} (${empty})`]));
  if (nothing.length === 0) return null;
  return `the last crawl of ${nothing.length === 1 ? 'a shop' : `${nothing.length} shops`} brought nothing: ${first(nothing)}`;
}

function first(sources: readonly string[]): string {
  const more = sources.length > named ? [`${sources.length - named} more`] : [];
  return [...sources.slice(0, named), ...more].join(', ');
}

function minutes(seconds: number): string {
  const whole = Math.floor(seconds / 60);
  return whole < 120 ? `${whole} minutes` : `${Math.floor(whole / 60)} hours`;
}
