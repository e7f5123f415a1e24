// The smaller panels: events, queue depths, and the last files, crawls and mails.
import type { ComponentChildren } from 'preact';
import type { CrawlView, FileView, MailView, SourceStanding } from '../../contracts/public-api.ts';
import { deadQueueOf, retryQueueOf } from '../../contracts/queue-names.ts';
import { formatClock, formatCount, formatSpan } from './format.ts';
import { crawls, files, log, mails, queues, silentSince, sources, type Known } from './state.ts';

const listed = 8;

export function EventLog() {
  return (
    <Panel id="events" title="Events">
      {log.value.length === 0 ? (
        <p class="quiet empty">No election, fault or refusal so far.</p>
      ) : (
        <div class="scroll" tabIndex={0} role="region" aria-label="Events, newest first">
          <ol class="log">
            {log.value.map((entry) => (
              <li key={entry.key} class={entry.tone}>
                <time dateTime={entry.at}>{formatClock(entry.at)}</time>
                <p>
                  <strong>{entry.subject}</strong> {entry.text}{' '}
                  {entry.process && <span class="quiet">{entry.process}</span>}
                </p>
              </li>
            ))}
          </ol>
        </div>
      )}
    </Panel>
  );
}

/** One row a work queue, with its retry and dead-letter queues beside it: the names say which belong together. */
export function Queues() {
  const depths = queues.value.value?.depths ?? {};
  const names = Object.keys(depths).filter((name) => !name.includes('.'));
  return (
    <Panel id="queues" title="Queues">
      {names.length === 0 ? (
        <p class="quiet empty">Not known yet.</p>
      ) : (
        <table class="numbers">
          <thead>
            <tr>
              <th scope="col">Queue</th>
              <th scope="col">Ready</th>
              <th scope="col">Retry</th>
              <th scope="col">Dead</th>
            </tr>
          </thead>
          <tbody>
            {names.map((name) => (
              <tr key={name}>
                <th scope="row">{name}</th>
                <Depth depth={depths[name]} />
                <Depth depth={depths[retryQueueOf(name)]} />
                <Depth depth={depths[deadQueueOf(name)]} isBad />
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </Panel>
  );
}
/** Undefined where there is no such queue: the partitions of items have their dead letters in one. */
function Depth({ depth, isBad = false }: { depth: number | null | undefined; isBad?: boolean }) {
  if (depth === undefined) return <td />;
  const tone = depth === null || depth === 0 ? 'quiet' : isBad ? 'bad' : '';
  return (
    <td class={tone}>
      {formatCount(depth)}
      {depth === null && <span class="unseen"> unknown</span>}
    </td>
  );
}

/** The most overdue first, so that those beyond what is listed are the ones that are well. */
export function Sources() {
  const standings = sources.value.value?.standings;
  const shown = standings?.slice(0, listed) ?? [];
  const more = (standings?.length ?? 0) - shown.length;
  return (
    <Panel id="sources" title="Sources" stale={sources.value.stale}>
      {shown.length === 0 ? (
        <p class="quiet empty">{standings ? 'No source is switched on.' : 'Not known yet.'}</p>
      ) : (
        <ul class="recent timeless">
          {shown.map((standing) => (
            <li key={standing.source}>
              <p>
                <span class="name">{standing.source}</span>{' '}
                <span class={`state${stateOf(standing) === standing.kind ? '' : ' bad'}`}>
                  {stateOf(standing)}
                </span>
                <span class="quiet detail">{agedText(standing)}</span>
              </p>
            </li>
          ))}
        </ul>
      )}
      {more > 0 && <p class="quiet">and {formatCount(more)} less late</p>}
    </Panel>
  );
}
function stateOf({ kind, isOverdue, empty, incomplete }: SourceStanding): string {
  if (isOverdue) return 'overdue';
  if (empty !== null) return 'empty';
  return incomplete === null ? kind : 'cut';
}
function agedText({ kind, lastGoodAt, ageS, intervalS, incomplete, empty }: SourceStanding): string {
  const wrong =
    (empty === null ? '' : `, the last brought nothing: ${empty}`) +
    (incomplete === null ? '' : `, not whole: ${incomplete}`);
  const what = kind === 'shop' ? 'crawl' : 'file';
  const since =
    lastGoodAt === null
      ? `no good ${what} for ${formatSpan(ageS)}`
      : `last good ${what} ${formatSpan(ageS)} ago`;
  return intervalS === null
    ? `${since}${wrong}`
    : `${since}, one expected every ${formatSpan(intervalS)}${wrong}`;
}

export function Files() {
  return (
    <Recent<FileView>
      id="files"
      title="Files"
      none="No file yet. One dropped on the FTP server arrives within 30 seconds."
      known={files.value}
      rows={files.value.value?.files}
      keyOf={({ fileId }) => fileId}
      draw={({ name, state, rows, reason }) => ({
        name,
        state,
        isBad: state === 'rejected',
        detail: reason ?? (rows === null ? '' : `${formatCount(rows)} rows`),
      })}
    />
  );
}

export function Crawls() {
  return (
    <Recent<CrawlView>
      id="crawls"
      title="Crawls"
      none="No crawl yet."
      known={crawls.value}
      rows={crawls.value.value?.crawls}
      keyOf={({ source, intake }) => `${source}/${intake}`}
      draw={({ source, status, pages, failedPages, itemsSeen, itemsPublished, reason, problem }) => ({
        name: source,
        state: status,
        isBad: status === 'failed',
        detail: [
          reason ??
            `${formatCount(pages)} pages, ${formatCount(itemsSeen)} items, ${formatCount(itemsPublished)} published`,
          ...(failedPages === 0 ? [] : [`${formatCount(failedPages)} pages failed`]),
          ...(problem === null ? [] : [problem]),
        ].join(', '),
      })}
    />
  );
}

export function Mails() {
  return (
    <Recent<MailView>
      id="mails"
      title="Mails"
      none="No mail yet. Watch an item, and one is sent when its price drops."
      known={mails.value}
      rows={mails.value.value?.mails}
      keyOf={({ mailId }) => mailId}
      draw={({ kind, state, attempt, detail }) => ({
        name: kind,
        state,
        isBad: state === 'failed' || state === 'unknown',
        detail: [attempt > 1 ? `attempt ${attempt}` : '', detail ?? ''].filter(Boolean).join(', '),
      })}
    />
  );
}

interface Drawn {
  readonly name: string;
  readonly state: string;
  readonly isBad: boolean;
  readonly detail: string;
}
function Recent<T extends { at: string }>(props: {
  id: string;
  title: string;
  none: string;
  known: Known<unknown>;
  rows: readonly T[] | undefined;
  keyOf: (row: T) => string;
  draw: (row: T) => Drawn;
}) {
  const rows = props.rows?.slice(0, listed) ?? [];
  return (
    <Panel id={props.id} title={props.title} stale={props.known.stale}>
      {rows.length === 0 ? (
        <p class="quiet empty">{props.rows ? props.none : 'Not known yet.'}</p>
      ) : (
        <ol class="recent">
          {rows.map((row) => {
            const { name, state, isBad, detail } = props.draw(row);
            return (
              <li key={props.keyOf(row)}>
                <time dateTime={row.at}>{formatClock(row.at)}</time>
                <p>
                  <span class="name">{name}</span> <span class={`state${isBad ? ' bad' : ''}`}>{state}</span>
                  {detail !== '' && <span class="quiet detail">{detail}</span>}
                </p>
              </li>
            );
          })}
        </ol>
      )}
    </Panel>
  );
}

function Panel(props: { id: string; title: string; stale?: boolean; children: ComponentChildren }) {
  return (
    <section aria-labelledby={`${props.id}-title`} class={`panel ${props.id}`}>
      <h2 id={`${props.id}-title`}>{props.title}</h2>
      {/* A node that does not answer at all is said once, at the top. */}
      {props.stale && silentSince.value === undefined && (
        <p class="warning">The database does not answer. Last known:</p>
      )}
      {props.children}
    </section>
  );
}
