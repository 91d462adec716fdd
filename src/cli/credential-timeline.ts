/** The credentials of a pair drawn over time, one lane a generation: for a terminal of any width, without colour. Pure. */
import type { CredentialDocument, CredentialPairDocument } from '../admin/documents.ts';
import { formatDuration } from '../base/duration.ts';

/** As in the legend. */
const MARK = {
  made: '○',
  waiting: '┄',
  effective: '├',
  valid: '─',
  inUse: '━',
  expires: '┤',
  gone: '×',
  now: '│',
} as const;
export const LEGEND = '○┄ made, not used yet   ├─ effective   ━ in use   ┤ expires   × deleted   │ now';

const LEAST_WIDTH = 50;
const LABEL = 16;
/** Columns between two dates below the lanes. */
const TICK_EVERY = 15;
const DAY_MS = 86_400_000;

export function drawTimeline(
  hub: string,
  pair: CredentialPairDocument,
  now: number,
  columns: number,
): string {
  const title = `${hub} on ${pair.edge}`;
  const { credentials } = pair;
  if (credentials.length === 0) return `${title}: no credential yet`;
  const width = Math.max(LEAST_WIDTH, columns) - LABEL - 1;
  const from = Math.min(now, ...credentials.map(({ made }) => made));
  const to = Math.max(now, ...credentials.map(({ expires }) => expires));
  const scale: Scale = { from, perColumn: Math.max(1, (to - from) / (width - 1)), width };
  const lanes = credentials.map((one) => `${label(one)}${lane(one, scale, now)}`.trimEnd());
  return [
    title,
    ...lanes,
    ...axis(scale, now),
    '',
    ...credentials.map((one) => explain(one, now)),
    next(pair, now),
  ]
    .filter((line) => line !== undefined)
    .join('\n');
}

interface Scale {
  readonly from: number;
  readonly perColumn: number;
  readonly width: number;
}

function at(moment: number, { from, perColumn, width }: Scale): number {
  return Math.max(0, Math.min(width - 1, Math.round((moment - from) / perColumn)));
}

function label({ number, state }: CredentialDocument): string {
  return `${String(number).padStart(4)} ${state}`.padEnd(LABEL);
}

function lane(one: CredentialDocument, scale: Scale, now: number): string {
  const cells = Array.from({ length: scale.width }, () => ' ');
  const put = (moment: number, mark: string): void => void (cells[at(moment, scale)] = mark);
  const fill = (from: number, to: number, mark: string): void => {
    for (let cell = at(from, scale); cell <= at(to, scale); cell++) cells[cell] = mark;
  };
  const end = Math.min(one.expires, one.gone ?? one.expires);
  put(now, MARK.now);
  if (one.made < one.effective) fill(one.made, Math.min(one.effective, end), MARK.waiting);
  if (one.effective <= end) fill(one.effective, end, one.state === 'in use' ? MARK.inUse : MARK.valid);
  if (one.effective <= end) put(one.effective, MARK.effective);
  if (one.made < one.effective) put(one.made, MARK.made);
  put(end, end < one.expires ? MARK.gone : MARK.expires);
  // Over everything: what is to the right of it is still to come.
  if (now > one.made && now < end) put(now, '┿');
  return cells.join('');
}

/** Dates, and where now is. */
function axis(scale: Scale, now: number): string[] {
  const span = scale.perColumn * scale.width;
  const marks = Array.from({ length: scale.width }, () => ' ');
  let dates = '';
  for (let column = 0; column < scale.width; column += TICK_EVERY) {
    const text = date(scale.from + column * scale.perColumn, span);
    if (column + text.length > scale.width) break;
    marks[column] = '╵';
    dates = dates.padEnd(column) + text;
  }
  marks[at(now, scale)] = '▲';
  const indent = ' '.repeat(LABEL);
  return [`${indent}${marks.join('').trimEnd()}`, `${indent}${dates}`];
}

function date(moment: number, span: number): string {
  const iso = new Date(moment).toISOString();
  if (span < 4 * DAY_MS) return `${iso.slice(5, 10)} ${iso.slice(11, 16)}`;
  return span > 300 * DAY_MS ? iso.slice(0, 10) : iso.slice(5, 10);
}

function explain(one: CredentialDocument, now: number): string {
  const parts = [
    one.made === one.effective ? undefined : `made ${ago(one.made, now)}`,
    `effective ${ago(one.effective, now)}`,
    one.gone === undefined || one.gone >= one.expires
      ? `${now >= one.expires ? 'expired' : 'expires'} ${ago(one.expires, now)}`
      : `deleted ${ago(one.gone, now)}`,
    one.confirmed === undefined
      ? one.state === 'on its way'
        ? 'NOT confirmed by the edge yet'
        : undefined
      : `confirmed ${ago(one.confirmed, now)}`,
  ];
  return `${String(one.number).padStart(4)} ${parts.filter((part) => part !== undefined).join(', ')}`;
}

function next({ state, nextLook, warnings }: CredentialPairDocument, now: number): string | undefined {
  if (warnings.length > 0) return warnings.map(({ code, text }) => `  !! ${text} [${code}]`).join('\n');
  if (state !== 'active') return `  !! the pair is ${state}`;
  return nextLook === undefined || nextLook <= now
    ? undefined
    : `     next by itself: ${new Date(nextLook).toISOString().slice(0, 16).replace('T', ' ')} UTC, ${ago(nextLook, now)}`;
}

function ago(moment: number, now: number): string {
  const far = Math.abs(moment - now);
  if (far < 60_000) return moment <= now ? 'just now' : 'in a moment';
  // Minutes do not matter after a day.
  const unit = far > 2 * DAY_MS ? DAY_MS : far > 7_200_000 ? 3_600_000 : 60_000;
  const text = formatDuration(Math.round(far / unit) * unit);
  return moment < now ? `${text} ago` : `in ${text}`;
}
