/** `postern lookup compare FILE`: what the edge would answer, beside what the mail server does today. Asks only; the mail server need not ask the edge yet. */
import { createReadStream } from 'node:fs';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { buildCommand } from '@stricli/core';
import type { CompareDocument, LookupDocument } from '../../admin/documents.ts';
import type { ControlClient } from '../../admin/control-client.ts';
import { PosternError } from '../../base/error.ts';
import {
  type Difference,
  differenceOf,
  type Expectation,
  type ExpectationReader,
} from '../../lookup/compare/expectation.ts';
import { MailLogReader } from '../../lookup/compare/mail-log.ts';
import { MapFileReader } from '../../lookup/compare/map-file.ts';
import { type Context, edgeDaemon, guarded, print } from '../context.ts';
import { EXIT } from '../exit-code.ts';
import { argument, common, commonAliases, type CommonFlags } from '../flags.ts';
import { createProgress, type Progress } from '../progress.ts';
import { formatCount, printable } from '../table.ts';

interface Flags extends CommonFlags {
  readonly format: 'map' | 'log';
  readonly maxReport: number;
}

/** Addresses of one question to the daemon. */
const AT_ONCE = 500;

export const compareCommand = buildCommand({
  docs: {
    brief: 'Compare the answers with the mail server’s present table of recipients, or with its log',
    fullDescription: [
      'FILE is the source of a Postfix table (the text that postmap reads), or with --format log a log of Postfix. Nothing is changed, and the mail server need not ask the edge yet.',
      '',
      'Exit codes: 0 every answer is the same, 1 some differ.',
    ].join('\n'),
  },
  parameters: {
    flags: {
      ...common,
      format: { kind: 'enum', values: ['map', 'log'], default: 'map', brief: 'What FILE is' },
      maxReport: { kind: 'parsed', parse: Number, default: '100', brief: 'Most differences to name' },
    },
    aliases: commonAliases,
    positional: argument('FILE', 'Table or log'),
  },
  func(this: Context, flags: Flags, file: string) {
    return guarded(this, async () => {
      const daemon = edgeDaemon(this, flags.config);
      const reader = flags.format === 'map' ? new MapFileReader() : new MailLogReader();
      const progress = createProgress(this.process.stderr, 'comparing');
      const document = await compare(
        daemon,
        reader,
        resolve(this.cwd, file),
        flags.maxReport,
        progress,
      ).finally(() => progress.end());
      print(this, flags.json, document, () => compareText(document));
      return document.compared === document.equal ? EXIT.ok : EXIT.failed;
    });
  },
});

async function compare(
  daemon: ControlClient,
  reader: ExpectationReader,
  path: string,
  mostReported: number,
  progress: Progress,
): Promise<CompareDocument> {
  const counts: Record<Difference, number> = { lost: 0, gained: 0, waiting: 0, 'not-ours': 0 };
  const differences: CompareDocument['differences'][number][] = [];
  let compared = 0;
  let equal = 0;
  const ask = async (expectations: readonly Expectation[]): Promise<void> => {
    const addresses = expectations.map(({ address }) => address);
    const answers = await daemon.call<LookupDocument[]>('POST', '/v1/lookups', { addresses });
    for (const [at, { address, expected, line }] of expectations.entries()) {
      const answer = answers[at];
      if (answer === undefined)
        throw new PosternError('internal', 'the daemon answered fewer questions than were asked');
      compared++;
      const difference = differenceOf(expected, answer.answer);
      if (difference === undefined) equal++;
      else {
        counts[difference]++;
        if (differences.length < mostReported)
          differences.push({ address, line, difference, reason: answer.reason });
      }
    }
    progress.update(compared, undefined);
  };
  let waiting: Expectation[] = [];
  const take = async (expectations: readonly Expectation[]): Promise<void> => {
    for (const expectation of expectations) {
      waiting.push(expectation);
      if (waiting.length < AT_ONCE) continue;
      await ask(waiting);
      waiting = [];
    }
  };
  let number = 0;
  try {
    for await (const line of createInterface({ input: createReadStream(path), crlfDelay: Infinity }))
      await take(reader.take(line, ++number));
  } catch (cause) {
    if (cause instanceof PosternError) throw cause;
    throw new PosternError('file.unreadable', `cannot read ${path}`, { cause });
  }
  await take(reader.end());
  if (waiting.length > 0) await ask(waiting);
  if (compared === 0)
    throw new PosternError('usage', `there is no address in ${path}`, {
      hint: 'a table is read by default, the text that postmap reads; for a log: --format log',
    });
  return { compared, equal, skipped: reader.skipped, counts, differences };
}

const WORDS: Record<Difference, string> = {
  lost: 'accepted today, the edge would refuse',
  gained: 'refused today, the edge would accept',
  waiting: 'the edge cannot say yet',
  'not-ours': 'accepted today, not an accepted domain on the edge',
};

function compareText({ compared, equal, skipped, counts, differences }: CompareDocument): string {
  const lines = [`${formatCount(compared)} addresses compared, ${formatCount(equal)} equal`];
  for (const [kind, count] of Object.entries(counts) as [Difference, number][])
    if (count > 0) lines.push(`${formatCount(count)} ${WORDS[kind]}`);
  if (skipped > 0) lines.push(`${formatCount(skipped)} lines without an address with a domain were left out`);
  for (const { address, line, difference, reason } of differences)
    lines.push(`  line ${line}: ${printable(address)}: ${WORDS[difference]}: ${printable(reason)}`);
  const more = compared - equal - differences.length;
  if (more > 0) lines.push(`  and ${formatCount(more)} more (--max-report)`);
  return lines.join('\n');
}
