import { describe, expect, it } from 'vitest';
import { BACK_END, FRONT_END, policyOf } from '../../../test/support/ipsec-policy.ts';
import { makeState, type PolicyState, policyStateSchema } from '../state/policy-state.ts';
import { makePlan, type OperatorFlow } from './plan.ts';

const stateOf = (toml: string): PolicyState =>
  makeState({ policy: policyOf(toml), keys: [{ keyId: 'k', file: '/k' }], mechanism: 'nft' });
const changes = (former: string | undefined, next: string): string[] =>
  makePlan(former === undefined ? undefined : stateOf(former), stateOf(next), undefined).changes.map(
    ({ what, change, name }) =>
      what === 'connection' || what === 'bypass' ? `${change} ${name.slice(-3)}` : `${change} ${what}`,
  );

/** One policy for the texts of a test, so that certificates are the same. */
function between(former: (state: PolicyState) => PolicyState, toml = FRONT_END): string[] {
  const next = stateOf(toml);
  return makePlan(former(next), next, undefined).changes.flatMap(({ change, what, details }) => [
    `${change} ${what}`,
    ...details,
  ]);
}

describe('a plan', () => {
  it('is everything when nothing is in force', () => {
    expect(changes(undefined, FRONT_END)).toEqual([
      'add -v4',
      'add -v6',
      'add key',
      'add guard',
      'add settings',
    ]);
  });

  it('is nothing when the same is in force, as it is read from its file', () => {
    expect(between((same) => policyStateSchema.parse(JSON.parse(JSON.stringify(same))))).toEqual([]);
  });

  it('takes away what is in force and planned no more', () => {
    const plan = makePlan(stateOf(FRONT_END), undefined, undefined);
    expect(plan.changes.map(({ change }) => change)).toEqual([
      'remove',
      'remove',
      'remove',
      'remove',
      'remove',
    ]);
  });

  it('says what was and what will be', () => {
    const found = between((next) => ({
      ...next,
      guard: { ...next.guard, scope: { ...next.guard.scope, drops: false } },
    }));
    expect(found[0]).toBe('change guard');
    expect(found[1]).toMatch(/^was: clear text counted with 192\.0\.2\.50/);
    expect(found[2]).toMatch(/^now: clear text dropped with 192\.0\.2\.50/);
  });

  it('names a change that words do not show', () => {
    const found = between((next) => ({
      ...next,
      connections: next.connections.map((one) => ({
        ...one,
        remote: { ...one.remote, certificates: ['another'] },
      })),
    }));
    expect(found).toContain('another certificate, lifetime or proposal');
  });
});

describe("the operator's session", () => {
  const ssh = (peer: string, own: string, ownPort = 22): OperatorFlow => ({
    peer,
    peerPort: 50_123,
    own,
    ownPort,
  });
  const EVERYTHING = FRONT_END.replace('["passwords"]', '["everything"]');
  it.each<[string, string, OperatorFlow | undefined, boolean, RegExp]>([
    ['from elsewhere', FRONT_END, ssh('203.0.113.5', '192.0.2.10'), false, /stays in clear/],
    [
      'from the peer, everything protected but SSH',
      EVERYTHING,
      ssh('192.0.2.50', '192.0.2.10'),
      false,
      /stays in clear/,
    ],
    [
      'from the peer on another port',
      EVERYTHING,
      ssh('192.0.2.50', '192.0.2.10', 2222),
      true,
      /was in clear and will be protected/,
    ],
    [
      'to a back-end on a protected port',
      BACK_END,
      ssh('203.0.113.5', '192.0.2.21', 110),
      true,
      /will be dropped/,
    ],
    [
      'to another address of a back-end',
      BACK_END,
      ssh('203.0.113.5', '10.0.0.9', 143),
      true,
      /will be dropped/,
    ],
    ['from a clear network', BACK_END, ssh('198.51.100.7', '192.0.2.21', 110), false, /stays in clear/],
    [
      'none, with SSH itself protected',
      BACK_END.replace('["passwords"]', '["tcp/22"]'),
      undefined,
      true,
      /port 22, by which this host is managed/,
    ],
    ['none', BACK_END, undefined, false, /no session over the network/],
    [
      'while the policy only observes',
      `stage = "observe"\n${BACK_END}`,
      ssh('203.0.113.5', '192.0.2.21', 110),
      false,
      /stays in clear/,
    ],
  ])('%s', (_name, toml, flow, touched, because) => {
    expect(makePlan(undefined, stateOf(toml), flow).operator).toEqual({
      touched,
      because: expect.stringMatching(because) as string,
    });
  });
});
