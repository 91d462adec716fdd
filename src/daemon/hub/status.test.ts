import { describe, expect, it } from 'vitest';
import type { SourceStatus } from '../../admin/documents.ts';
import type { LinkStatus } from '../../sync/push/link-status.ts';
import { type EdgeFacts, type HubFacts, hubStatus, NO_SOURCE } from './status.ts';

const NOW = Date.UTC(2026, 5, 1);
const HOUR = 3_600_000;
const DAY = 24 * HOUR;

const link: LinkStatus = {
  state: 'Synchronized',
  holdsLease: true,
  lastAttempt: NOW - DAY,
  lastSuccess: NOW - 1000,
  consecutiveFailures: 0,
  failureDetail: undefined,
  progress: { pushed: 10, total: 10, inStep: true, settled: true, settledSequence: 4 },
  configurationDue: false,
  credential: 'ESRA.edge1.hub1.0',
};

const edge: EdgeFacts = {
  edge: { name: 'edge1', fqdn: 'edge1.example.org', port: 50636 },
  link,
  credential: { userName: 'ESRA.edge1.hub1.0', expiresAt: NOW + 20 * DAY },
  credentialWarnings: {},
  pendingRemovals: 0,
};

const facts: HubFacts = {
  name: 'hub1',
  fqdn: 'hub1.example.org',
  site: 'Default-Site',
  now: NOW,
  startedAt: NOW - DAY,
  fingerprint: 'abcd',
  source: { ...NO_SOURCE, kind: 'ldif', instance: '/people.ldif', state: 'idle', lastConfirmed: NOW - HOUR },
  edges: [edge],
  domains: 3,
  memoryBytes: 1,
  certificateWarnings: [],
  repairedCopies: 0,
};

function warningsOf(change: Partial<HubFacts>): string[] {
  return hubStatus({ ...facts, ...change }).warnings.map(({ code, severity }) => `${severity} ${code}`);
}

const withEdge = (change: Partial<EdgeFacts>): Partial<HubFacts> => ({ edges: [{ ...edge, ...change }] });
const withLink = (change: Partial<LinkStatus>): Partial<HubFacts> =>
  withEdge({ link: { ...link, ...change } });
const withSource = (change: Partial<SourceStatus>): Partial<HubFacts> => ({
  source: { ...facts.source, ...change },
});

describe('the status of a hub', () => {
  it('says how each edge is', () => {
    expect(hubStatus(facts)).toMatchObject({
      role: 'hub',
      domains: 3,
      warnings: [],
      edges: [
        {
          edge: 'edge1',
          address: 'edge1.example.org:50636',
          state: 'Synchronized',
          holdsLease: true,
          pushed: 10,
          total: 10,
          pendingRemovals: 0,
          credential: 'ESRA.edge1.hub1.0',
          credentialExpires: NOW + 20 * DAY,
        },
      ],
    });
  });

  it.each<[string, Partial<HubFacts>, string[]]>([
    ['a hub without source or edges is well', { source: NO_SOURCE, edges: [] }, []],
    ['a source that failed a moment ago', withSource({ state: 'failed' }), ['warning source.failed']],
    [
      'a source that is away for two days',
      withSource({ state: 'failed', lastConfirmed: NOW - 2 * DAY }),
      ['critical source.failed'],
    ],
    [
      'a source that never could be read',
      withSource({ state: 'failed', lastConfirmed: undefined }),
      ['warning source.failed'],
    ],
    ['an edge that failed once', withLink({ state: 'NotSynchronized', consecutiveFailures: 1 }), []],
    [
      'an edge that fails again and again',
      withLink({ state: 'NotSynchronized', consecutiveFailures: 3 }),
      ['warning edge.failing'],
    ],
    [
      'an edge that is away for long',
      withLink({ state: 'InProgress', consecutiveFailures: 9, lastSuccess: NOW - 2 * HOUR }),
      ['critical edge.failing'],
    ],
    [
      'an edge that never was reached',
      withLink({ state: 'NotSynchronized', consecutiveFailures: 9, lastSuccess: undefined }),
      ['critical edge.failing'],
    ],
    [
      'an edge that takes no account',
      withLink({ state: 'Expired', consecutiveFailures: 1 }),
      ['critical edge.failing'],
    ],
    ['another hub is at work', withLink({ state: 'Skipped', holdsLease: false }), []],
    ['removals that wait', withEdge({ pendingRemovals: 5 }), ['warning removals.pending']],
    [
      'an account in its last days, which is renewed by itself',
      withEdge({ credential: { userName: 'a', expiresAt: NOW + DAY } }),
      [],
    ],
    [
      'an account that is over',
      withEdge({ credential: { userName: 'a', expiresAt: NOW - 1 } }),
      ['critical credential.expired'],
    ],
    [
      'a successor that the edge has not accepted',
      withEdge({ credentialWarnings: { 'credential.unconfirmed': 'the edge refuses it' } }),
      ['warning credential.unconfirmed'],
    ],
    [
      'the same of an edge that does not answer: that is the reason',
      {
        edges: [
          {
            ...edge,
            link: { ...link, state: 'NotSynchronized', consecutiveFailures: 3 },
            credential: { userName: 'a', expiresAt: NOW - 1 },
            credentialWarnings: { 'credential.unconfirmed': 'no answer' },
          },
        ],
      },
      ['warning edge.failing'],
    ],
    [
      'two copies of this hub: nothing else is said of what follows from it',
      {
        edges: [
          {
            ...edge,
            link: { ...link, state: 'Expired', consecutiveFailures: 9 },
            credential: { userName: 'a', expiresAt: NOW - 1 },
            credentialWarnings: {
              'credential.two-instances': 'two',
              'credential.unconfirmed': 'no',
              'credential.recovery-waits': 'not yet',
            },
          },
        ],
      },
      ['critical credential.two-instances'],
    ],
    [
      'clocks that differ, and an edge that takes the accounts all the same',
      withEdge({ credentialWarnings: { 'clock.skew': 'this one says 1, that one 2' } }),
      ['warning clock.skew'],
    ],
    [
      'a recovery, which is told until the next renewal',
      withEdge({ credentialWarnings: { 'credential.recovered': 'all had ended' } }),
      ['warning credential.recovered'],
    ],
    [
      'removed on the edge',
      withEdge({
        link: { ...link, state: 'Expired' },
        credentialWarnings: { 'credential.not-admitted': 'removed' },
      }),
      ['critical credential.not-admitted'],
    ],
    [
      'no more recoveries',
      withEdge({ credentialWarnings: { 'credential.recovery-exhausted': 'three were granted' } }),
      ['critical credential.recovery-exhausted'],
    ],
    ['no account yet', withEdge({ credential: undefined }), []],
    ['a copy of the trust store was damaged', { repairedCopies: 1 }, ['warning trust.repaired']],
    ['a link that is being ended', withEdge({ link: undefined }), []],
  ])('%s', (_what, change, expected) => {
    expect(warningsOf(change)).toEqual(expected);
  });

  it('every warning says how to mend it', () => {
    const { warnings } = hubStatus({
      ...facts,
      ...withSource({ state: 'failed' }),
      repairedCopies: 1,
      edges: [
        {
          ...edge,
          link: { ...link, state: 'Expired' },
          pendingRemovals: 1,
          credentialWarnings: {
            'clock.skew': 'one clock says this, the other that',
            'credential.restored': 'this hub runs on a restored backup',
          },
        },
        { ...edge, credential: { userName: 'a', expiresAt: 1 } },
      ],
    });
    expect(warnings.map(({ code }) => code).sort()).toEqual([
      'clock.skew',
      'credential.expired',
      'credential.restored',
      'removals.pending',
      'source.failed',
      'trust.repaired',
    ]);
    for (const { text, mend } of warnings) expect(`${text}${mend ?? ''}`).toMatch(/^.{20,}.{20,}$/);
    for (const { mend } of warnings) expect(mend).toBeDefined();
  });
});
