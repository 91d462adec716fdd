import { describe, expect, it } from 'vitest';
import { type EdgeFacts, edgeStatus } from './status.ts';

const NOW = Date.UTC(2026, 0, 2);
const HOUR = 3_600_000;
const FACTS: EdgeFacts = {
  name: 'edge1',
  fqdn: 'edge1.example.org',
  now: NOW,
  startedAt: NOW - HOUR,
  fingerprint: '',
  subscribed: true,
  kinds: [
    {
      kind: 'recipients',
      loadState: 'complete',
      entries: 5,
      pendingRemovals: 0,
      keptRemovals: 0,
      lastConfirmed: NOW - 1000,
    },
  ],
  lease: { state: 'held', holder: 'hub1', epoch: 1, remainingMs: 1000 },
  accounts: [],
  pairWarnings: [],
  certificateWarnings: [],
  lookups: { known: 0, unknown: 0, temporary: 0, notOurs: 0 },
  connections: 1,
  memoryBytes: 1,
  maxAgeMs: 24 * HOUR,
  storeFull: false,
  leftoverFile: undefined,
};
const [RECIPIENTS] = FACTS.kinds;
const recipients = (change: Partial<(typeof FACTS.kinds)[number]>): Partial<EdgeFacts> =>
  RECIPIENTS === undefined ? {} : { kinds: [{ ...RECIPIENTS, ...change }] };

describe('warnings of an edge', () => {
  const cases: [string, Partial<EdgeFacts>, string[]][] = [
    ['all is well', {}, []],
    ['nobody is subscribed', { subscribed: false }, ['warning edge.not-subscribed']],
    ['the first load goes on', recipients({ loadState: 'loading' }), ['warning recipients.loading']],
    ['confirmed too long ago', recipients({ lastConfirmed: NOW - 25 * HOUR }), ['critical recipients.stale']],
    ['confirmed a while ago', recipients({ lastConfirmed: NOW - 9 * HOUR }), ['warning recipients.aging']],
    ['removals are held back', recipients({ pendingRemovals: 3 }), ['warning removals.pending']],
    ['no space on the disk', { storeFull: true }, ['critical store.full']],
    [
      'no space before there is a hub',
      { storeFull: true, subscribed: false },
      ['critical store.full', 'warning edge.not-subscribed'],
    ],
    ['a used file is left', { leftoverFile: '/tmp/x' }, ['warning subscription.file-left']],
    [
      'the gravest first',
      { ...recipients({ pendingRemovals: 3 }), storeFull: true },
      ['critical store.full', 'warning removals.pending'],
    ],
  ];
  it.each(cases)('%s', (_name, change, expected) => {
    const { warnings } = edgeStatus({ ...FACTS, ...change });
    expect(warnings.map(({ code, severity }) => `${severity} ${code}`)).toEqual(expected);
    for (const { mend } of warnings) expect(mend).toBeDefined();
  });

  it('what they are made of stays out of the document', () => {
    expect(edgeStatus({ ...FACTS, storeFull: true })).not.toHaveProperty('storeFull');
  });
});
