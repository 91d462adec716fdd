import { beforeAll, describe, expect, it } from 'vitest';
import { DAY, makeNode, random, START } from '../../test/support/credential-site.ts';
import { Secret } from '../base/secret.ts';
import type { Pin } from '../certificate/pin.ts';
import type { Account } from './account.ts';
import { parseAccountName } from './account-name.ts';
import {
  afterProvingBind,
  checkHub,
  hubByPin,
  judgeBootstrapBind,
  withBootstrapBound,
  withoutExpiredBootstrap,
} from './bind.ts';
import type { AdmittedHub, CredentialState } from './credential-state.ts';
import { digestPassword } from './password.ts';

const password = new Secret('the password');
let hub: Pin;
let other: Pin;
let next: Pin;
let esra: Account;
let bootstrap: Account;
let state: CredentialState;
beforeAll(async () => {
  const nodes = await Promise.all(['hub1', 'hub2', 'next'].map(makeNode));
  [hub, other, next] = nodes.map((node) => node.identity.pin) as [Pin, Pin, Pin];
  const common = { password: digestPassword(password, random), state: 'active' as const, effectiveAt: START };
  esra = { name: 'ESRA.edge1.hub1.0', kind: 'esra', hub: 'hub1', expiresAt: START + 30 * DAY, ...common };
  bootstrap = { name: 'ESRA.edge1', kind: 'bootstrap', expiresAt: START + DAY, ...common };
  const admitted = (name: string, current: Pin, following?: Pin): AdmittedHub => ({
    name,
    fqdn: `${name}.example`,
    pins: { current, ...(following && { next: following }) },
    certificate: Buffer.alloc(0),
    admittedAt: START,
    admittedBy: 'bootstrap',
  });
  state = {
    accounts: [bootstrap, esra],
    hubs: { hub1: admitted('hub1', hub, next), hub2: admitted('hub2', other) },
  };
});

describe('a bind with the bootstrap account', () => {
  const answer = (
    accounts: Account[],
    name: string,
    secret: string,
    pin: Pin | undefined,
    now = START,
  ): string => {
    const found = judgeBootstrapBind(accounts, name, Buffer.from(secret), pin, now);
    return found.outcome === 'refused' ? found.code : `${found.outcome}${found.binds ? ' binds' : ''}`;
  };
  const bound = (): Account[] => withBootstrapBound(state, hub).accounts;

  it.each<[string, () => string, string]>([
    ['', () => answer([bootstrap], 'ESRA.edge1', 'the password', hub), 'ok binds'],
    ['in other case', () => answer([bootstrap], 'esra.EDGE1', 'the password', hub), 'ok binds'],
    ['again', () => answer(bound(), 'ESRA.edge1', 'the password', hub), 'ok'],
    ['of another', () => answer(bound(), 'ESRA.edge1', 'the password', other), 'wrong-client-certificate'],
    // The pin is judged before the password is looked at.
    [
      'of another, and a wrong password',
      () => answer(bound(), 'ESRA.edge1', 'wrong', other),
      'wrong-client-certificate',
    ],
    [
      'without a certificate',
      () => answer([bootstrap], 'ESRA.edge1', 'the password', undefined),
      'no-client-certificate',
    ],
    ['and a wrong password', () => answer([bootstrap], 'ESRA.edge1', 'wrong', hub), 'wrong-password'],
    ['and no password', () => answer([bootstrap], 'ESRA.edge1', '', hub), 'wrong-password'],
    ['of another edge', () => answer([bootstrap], 'ESRA.edge2', 'the password', hub), 'no-such-account'],
    ['that is not there', () => answer([esra], 'ESRA.edge1', 'the password', hub), 'no-such-account'],
    [
      'that has expired',
      () => answer([bootstrap], 'ESRA.edge1', 'the password', hub, START + DAY),
      'expired',
    ],
  ])('%s', (_name, run, expected) => {
    expect(run()).toBe(expected);
  });
});

describe('a bind with an ESRA', () => {
  const check = (name: string, secret: string, pin: Pin, of: CredentialState = state): string => {
    const parsed = parseAccountName(name);
    if (parsed?.kind !== 'esra') throw new Error('not an ESRA');
    const found = checkHub(of, 'edge1', parsed, name, Buffer.from(secret), pin);
    return found.outcome === 'hub' ? `hub ${found.hub.name}` : `${found.outcome}: ${found.reason}`;
  };
  const NAME = 'ESRA.edge1.hub1.0';

  it.each<[string, () => string, string]>([
    ['by its hub', () => check(NAME, 'the password', hub), 'hub hub1'],
    ['by its hub, with the key that it announced', () => check(NAME, 'the password', next), 'hub hub1'],
    ['in other case', () => check('esra.EDGE1.HUB1.0', 'the password', hub), 'hub hub1'],
    [
      'with a wrong password',
      () => check(NAME, 'wrong', hub),
      'refused: the password is not that of the account',
    ],
    // Whether it was deleted, or the pair has ended, is the pair's answer; the key is proved.
    ['that is not there', () => check('ESRA.edge1.hub1.7', 'any', hub), 'hub hub1'],
    [
      "with another hub's key",
      () => check(NAME, 'the password', other),
      "refused: the client's certificate is not one that is pinned for hub hub1",
    ],
    [
      'of a hub that nobody knows',
      () => check('ESRA.edge1.hub9.0', 'x', hub),
      'refused: hub hub9 is not admitted',
    ],
    [
      'of another edge',
      () => check('ESRA.edge2.hub1.0', 'the password', hub),
      'refused: it is an account of another edge',
    ],
    [
      'by a hub that was removed',
      () => check(NAME, 'the password', hub, { ...state, hubs: {}, removedHubs: { [hub]: START } }),
      'removed: this hub was removed from the site',
    ],
    [
      "with another hub's key, which was removed",
      () => check(NAME, 'the password', other, { ...state, hubs: {}, removedHubs: { [hub]: START } }),
      'refused: hub hub1 is not admitted',
    ],
  ])('%s', (_name, run, expected) => {
    expect(run()).toBe(expected);
  });

  it('a hub is found by any of its keys', () => {
    expect([hub, next, other].map((pin) => hubByPin(state, pin)?.name)).toEqual(['hub1', 'hub1', 'hub2']);
    expect(hubByPin({ hubs: {} }, hub)).toBeUndefined();
  });
});

describe('after a proving bind', () => {
  it('the bootstrap account that the same hub used is gone', () => {
    expect(afterProvingBind(withBootstrapBound(state, hub), hub).accounts).toEqual([esra]);
  });

  it('one that nobody or another hub used stays', () => {
    expect(afterProvingBind(state, hub)).toBe(state);
    const used = withBootstrapBound(state, other);
    expect(afterProvingBind(used, hub)).toBe(used);
  });
});

it('time takes the bootstrap account', () => {
  expect(withoutExpiredBootstrap(state, START)).toBe(state);
  expect(withoutExpiredBootstrap(state, START + DAY).accounts).toEqual([esra]);
  expect(withoutExpiredBootstrap(state, START + 600 * DAY).accounts).toEqual([esra]);
});
