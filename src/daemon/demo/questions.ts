/** What the demo asks the edge, what the answer has to be, and whether it was. Pure. */
import { type DemoPerson, demoPerson } from './population.ts';

/** What a mail server makes of an answer: accept, refuse (for domains: not ours), try again later; `broken` is none of these. */
export type Verdict = 'known' | 'unknown' | 'later' | 'broken';

export interface Question {
  /** In a few words, why it is asked. */
  readonly what: string;
  readonly map: 'recipients' | 'domains';
  readonly asked: string;
  readonly expected: Verdict;
  /**
   * Over LDAP, where a search finds what is stored and knows no rules: what is searched for, in this order, until something is
   * found (a mail server drops the extension itself). Empty: no search could answer this.
   */
  readonly searches: readonly string[];
}

export interface Answer {
  readonly verdict: Verdict;
  /** As it came, shortened. */
  readonly text: string;
  readonly ms: number;
}

export interface Answered {
  readonly question: Question;
  readonly socketmap: Answer;
  readonly ldap: Answer | undefined;
}

/** What a reply of a socketmap server means (socketmap_table(5)). */
export function socketmapVerdict(reply: string): Verdict {
  if (/^OK ./.test(reply)) return 'known';
  if (reply.startsWith('NOTFOUND ')) return 'unknown';
  if (/^(TEMP|TIMEOUT) /.test(reply)) return 'later';
  return 'broken';
}

/** The tour's questions, for a population in which persons 0 and 19 exist. */
export function tourQuestions(): Question[] {
  const [primary = '', alias = ''] = demoPerson(0).addresses;
  const [other = ''] = demoPerson(19).addresses;
  const recipient = (
    what: string,
    asked: string,
    expected: Verdict,
    searches: readonly string[] = [asked],
  ): Question => ({ what, map: 'recipients', asked, expected, searches });
  const domain = (asked: string, expected: Verdict): Question => ({
    what: 'domain',
    map: 'domains',
    asked,
    expected,
    searches: [asked],
  });
  return [
    recipient('a person', primary, 'known'),
    recipient('capitals', primary.toUpperCase(), 'known'),
    recipient('quoted', primary.replace(/^[^@]+/, '"$&"'), 'known'),
    recipient('an alias', alias, 'known'),
    recipient('extension', extended(primary), 'known', [extended(primary), primary]),
    recipient('2nd domain', other, 'known'),
    recipient('no + there', extended(other), 'unknown'),
    recipient('nobody', 'nobody@example.org', 'unknown'),
    recipient('relayed', 'nobody@example.net', 'known', []),
    recipient('not ours', 'ada@elsewhere.example', 'unknown'),
    domain('example.org', 'known'),
    domain('elsewhere.example', 'unknown'),
  ];
}

function extended(address: string): string {
  return address.replace('@', '+x@');
}

/** What is wrong, one sentence for each answer that is not the expected one. */
export function wrongAnswers(answered: readonly Answered[]): string[] {
  return answered.flatMap(({ question, socketmap, ldap }) =>
    (
      [
        ['socketmap', socketmap],
        ['LDAP', ldap],
      ] as const
    ).flatMap(([front, answer]) =>
      answer === undefined || answer.verdict === question.expected
        ? []
        : [
            `${question.asked} (${question.what}) over ${front}: expected ${question.expected}, got ${answer.verdict} (${answer.text})`,
          ],
    ),
  );
}

/** All addresses of at most `most` people, spread over the whole population. */
export function sampleAddresses(people: number, most: number): string[] {
  const found: string[] = [];
  // Odd, since domains and aliases come in a rhythm.
  const step = Math.ceil(people / most) | 1;
  for (let n = 0; n < people; n += step) found.push(...demoPerson(n).addresses);
  return found;
}

/** A person who is not among the first `people`. */
export function newcomer(people: number, n: number): DemoPerson {
  const uid = `new.colleague.${people + n}`;
  return { uid, cn: 'New Colleague', sn: 'Colleague', addresses: [`${uid}@example.org`] };
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}
