import { describe, expect, it } from 'vitest';
import { demoPerson } from './population.ts';
import {
  type Answer,
  type Answered,
  median,
  newcomer,
  type Question,
  sampleAddresses,
  socketmapVerdict,
  tourQuestions,
  type Verdict,
  wrongAnswers,
} from './questions.ts';

const answer = (verdict: Verdict, text: string = verdict): Answer => ({ verdict, text, ms: 1 });
const right = (question: Question): Answered => ({
  question,
  socketmap: answer(question.expected),
  ldap: question.searches.length === 0 ? undefined : answer(question.expected),
});

describe('replies of a socketmap server', () => {
  it.each<[string, Verdict]>([
    ['OK 1', 'known'],
    ['OK authoritative', 'known'],
    ['NOTFOUND ', 'unknown'],
    ['TEMP recipients are not loaded yet', 'later'],
    ['TIMEOUT x', 'later'],
    ['PERM x', 'broken'],
    // Postfix takes an empty result for an error.
    ['OK ', 'broken'],
    ['OK', 'broken'],
    ['', 'broken'],
  ])('%j is %s', (reply, verdict) => expect(socketmapVerdict(reply)).toBe(verdict));
});

describe('the tour’s questions', () => {
  const questions = tourQuestions();

  it('are of every kind', () => {
    const asked = questions.map((question) => `${question.map} ${question.expected}`);
    expect(new Set(asked)).toEqual(
      new Set(['recipients known', 'recipients unknown', 'domains known', 'domains unknown']),
    );
    expect(questions.some(({ asked: address }) => address.includes('+'))).toBe(true);
    expect(questions.some(({ searches }) => searches.length === 2)).toBe(true);
    for (const { searches, asked: address } of questions)
      expect(searches.length === 0 || searches[0] === address).toBe(true);
  });

  it('are answered right when every answer is the expected one', () => {
    expect(wrongAnswers(questions.map(right))).toEqual([]);
  });

  it.each(questions.map((question, n) => [question.what, n] as const))(
    'a wrong answer is named: %s',
    (_what, n) => {
      for (const front of ['socketmap', 'ldap'] as const) {
        for (const verdict of ['known', 'unknown', 'later', 'broken'] as const) {
          const answered = questions.map(right);
          const one = answered[n] as Answered;
          if (one[front] === undefined) continue;
          answered[n] = { ...one, [front]: answer(verdict, 'what came') };
          const { asked, expected } = one.question;
          const wrong = wrongAnswers(answered);
          if (verdict === expected) expect(wrong).toEqual([]);
          else
            expect(wrong).toEqual([
              `${asked} (${one.question.what}) over ${front === 'ldap' ? 'LDAP' : front}: expected ${expected}, got ${verdict} (what came)`,
            ]);
        }
      }
    },
  );
});

describe('the people', () => {
  it('are sampled over the whole population', () => {
    expect(sampleAddresses(30, 1000)).toEqual(
      Array.from({ length: 30 }, (_none, n) => demoPerson(n).addresses).flat(),
    );
    const sample = sampleAddresses(1000, 100);
    expect(sample.length).toBeLessThan(200);
    expect(sample.at(-1)).toMatch(/\.9\d\d@/);
  });

  it('do not include newcomers', () => {
    const known = new Set(sampleAddresses(1000, 10_000));
    for (let n = 0; n < 10; n++)
      for (const address of newcomer(1000, n).addresses) expect(known.has(address)).toBe(false);
  });
});

describe('median', () => {
  it.each([
    [[3], 3],
    [[3, 1, 2], 2],
    [[4, 1, 2, 3], 2.5],
  ])('of %j is %d', (values, expected) => expect(median(values)).toBe(expected));
  it('of nothing is nothing', () => expect(median([])).toBeNaN());
});
