import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  differenceOf,
  type Difference,
  type Expectation,
  type ExpectationReader,
  type Verdict,
} from './expectation.ts';
import { MailLogReader } from './mail-log.ts';
import { MapFileReader } from './map-file.ts';

function read(reader: ExpectationReader, text: string): string[] {
  const said = text.split('\n').flatMap((line, at) => reader.take(line, at + 1));
  return [...said, ...reader.end()].map(({ address, expected, line }) => `${line} ${address} ${expected}`);
}

test('a table of recipients: keys, comments, continuations, whole domains', () => {
  const reader = new MapFileReader();
  const text = [
    '# comment',
    '',
    'anna@example.org OK',
    'bert@example.org\tmailbox',
    '   continued@example.org value',
    '"c d"@example.org OK',
    '@all.example OK',
    'localuser OK',
    'example.net OK',
    'broken@ OK',
    'crlf@example.org OK\r',
  ].join('\n');
  expect(read(reader, text)).toEqual([
    '3 anna@example.org known',
    '4 bert@example.org known',
    '6 "c d"@example.org known',
    '7 postern-compare-anybody@all.example known',
    '11 crlf@example.org known',
  ]);
  expect(reader.skipped).toBe(3);
});

const LOG = `Nov 20 06:25:01 mx postfix/smtp[11]: 4F1: to=<anna@example.org>, relay=in[10.0.0.1]:25, delay=0.1, delays=0/0/0/0, dsn=2.0.0, status=sent (250 ok)
Nov 20 06:25:02 mx postfix/lmtp[12]: 4F2: to=<box@in.example>, orig_to=<alias@example.org>, relay=x, dsn=2.0.0, status=sent (250)
Nov 20 06:25:03 mx postfix/smtpd[13]: NOQUEUE: reject: RCPT from h[192.0.2.1]: 550 5.1.1 <nobody@example.org>: Recipient address rejected: User unknown in relay recipient table; from=<x@y> to=<nobody@example.org> proto=ESMTP
Nov 20 06:25:04 mx postfix/smtp[14]: 4F3: to=<later@example.org>, relay=none, dsn=4.4.1, status=deferred (timeout)
Nov 20 06:25:05 mx postfix/local[15]: 4F4: to=<root>, relay=local, dsn=2.0.0, status=sent
Nov 20 06:25:06 mx postfix/smtpd[16]: NOQUEUE: reject: RCPT from h[192.0.2.1]: 554 5.7.1 <x@elsewhere.example>: Relay access denied; from=<x@y> to=<x@elsewhere.example>
Nov 20 06:25:07 mx postfix/smtpd[13]: NOQUEUE: reject: RCPT from h[192.0.2.1]: 550 5.1.1 <anna@example.org>: Recipient address rejected: User unknown; from=<x@y>`;

test('a log: delivered, refused as unknown, the latest word counts', () => {
  expect(read(new MailLogReader(), LOG)).toEqual([
    '7 anna@example.org unknown',
    '2 alias@example.org known',
    '3 nobody@example.org unknown',
  ]);
});

test.each<[Expectation['expected'], Verdict, Difference | undefined]>([
  ['known', 'known', undefined],
  ['known', 'unknown', 'lost'],
  ['known', 'notOurs', 'not-ours'],
  ['known', 'temporary', 'waiting'],
  ['unknown', 'known', 'gained'],
  ['unknown', 'unknown', undefined],
  ['unknown', 'notOurs', undefined],
  ['unknown', 'temporary', 'waiting'],
])('%s today, %s on the edge: %s', (expected, answer, difference) => {
  expect(differenceOf(expected, answer)).toBe(difference);
});

describe('any line at all', () => {
  const lines = fc.array(
    fc.oneof(
      fc.string({ unit: 'binary', maxLength: 60 }),
      fc.constantFrom(...LOG.split('\n')),
      fc.constantFrom('"', '"\\', '@', 'a@b c', ': to=<', 'x'.repeat(100_000), `"${'a'.repeat(50_000)}`),
    ),
  );
  test.each([
    ['a table', () => new MapFileReader()],
    ['a log', () => new MailLogReader()],
  ])('%s: an address, or nothing', (_name, reader) => {
    fc.assert(
      fc.property(lines, (all) => {
        const made = reader();
        const said = all.flatMap((line, at) => made.take(line, at + 1));
        for (const { address } of [...said, ...made.end()]) expect(address).toMatch(/@/);
      }),
      { numRuns: 300 },
    );
  });
});
