import { beforeAll, describe, expect, it } from 'vitest';
import { DAY, makeNode, random, START } from '../../test/support/credential-site.ts';
import { Secret } from '../base/secret.ts';
import type { Pin } from '../certificate/pin.ts';
import type { Account } from './account.ts';
import { afterProvingBind, judgeBind, withBootstrapBound, withoutExpired } from './bind.ts';
import { digestPassword } from './password.ts';

const password = new Secret('the password');
let hub: Pin;
let other: Pin;
let esra: Account;
let bootstrap: Account;
beforeAll(async () => {
  hub = (await makeNode('hub1')).identity.pin;
  other = (await makeNode('hub2')).identity.pin;
  const common = { password: digestPassword(password, random), state: 'active' as const, effectiveAt: START };
  esra = {
    name: 'ESRA.edge1.hub1.0',
    kind: 'esra',
    hub: 'hub1',
    pin: hub,
    expiresAt: START + 30 * DAY,
    ...common,
  };
  bootstrap = { name: 'ESRA.edge1', kind: 'bootstrap', expiresAt: START + DAY, ...common };
});

describe('a bind', () => {
  const answer = (
    accounts: Account[],
    name: string,
    secret: string,
    pin: Pin | undefined,
    now = START,
  ): string => {
    const found = judgeBind(accounts, name, Buffer.from(secret), pin, now);
    return found.outcome === 'refused'
      ? found.code
      : `${found.outcome}${found.bindsBootstrap ? ' binds' : ''}${found.proves ? ' proves' : ''}`;
  };

  it.each<[string, () => string, string]>([
    ['with an ESRA', () => answer([bootstrap, esra], 'ESRA.edge1.hub1.0', 'the password', hub), 'ok proves'],
    [
      'with an ESRA in other case',
      () => answer([bootstrap, esra], 'esra.EDGE1.hub1.0', 'the password', hub),
      'ok proves',
    ],
    [
      'with an ESRA before its time',
      () => answer([esra], 'ESRA.edge1.hub1.0', 'the password', hub, START - DAY),
      'who-am-i-only',
    ],
    [
      'with an ESRA before its time and a wrong password',
      () => answer([esra], 'ESRA.edge1.hub1.0', 'wrong', hub, START - DAY),
      'wrong-password',
    ],
    [
      "with an ESRA and another hub's certificate",
      () => answer([esra], 'ESRA.edge1.hub1.0', 'the password', other),
      'wrong-client-certificate',
    ],
    [
      'with an ESRA and no certificate',
      () => answer([esra], 'ESRA.edge1.hub1.0', 'the password', undefined),
      'no-client-certificate',
    ],
    // The pin is judged before the password is looked at.
    [
      'with a wrong password and a wrong certificate',
      () => answer([esra], 'ESRA.edge1.hub1.0', 'wrong', other),
      'wrong-client-certificate',
    ],
    ['with a wrong password', () => answer([esra], 'ESRA.edge1.hub1.0', 'wrong', hub), 'wrong-password'],
    ['with no password', () => answer([esra], 'ESRA.edge1.hub1.0', '', hub), 'wrong-password'],
    ['as nobody known', () => answer([esra], 'ESRA.edge1.hub1.1', 'the password', hub), 'no-such-account'],
    ['with the bootstrap account', () => answer([bootstrap], 'ESRA.edge1', 'the password', hub), 'ok binds'],
    [
      'with the bootstrap account again',
      () =>
        answer(
          withBootstrapBound({ accounts: [bootstrap], hubs: {} }, hub).accounts,
          'ESRA.edge1',
          'the password',
          hub,
        ),
      'ok',
    ],
    [
      'with the bootstrap account of another',
      () =>
        answer(
          withBootstrapBound({ accounts: [bootstrap], hubs: {} }, hub).accounts,
          'ESRA.edge1',
          'the password',
          other,
        ),
      'wrong-client-certificate',
    ],
    [
      'with an expired bootstrap account',
      () => answer([bootstrap], 'ESRA.edge1', 'the password', hub, START + DAY),
      'expired',
    ],
  ])('%s', (_name, run, expected) => {
    expect(run()).toBe(expected);
  });
});

describe('after a proving bind', () => {
  it('the bootstrap account that the same hub used is gone', () => {
    const state = withBootstrapBound({ accounts: [bootstrap, esra], hubs: {} }, hub);
    expect(afterProvingBind(state, esra).accounts).toEqual([esra]);
  });

  it('one that nobody or another hub used stays', () => {
    const unused = { accounts: [bootstrap, esra], hubs: {} };
    expect(afterProvingBind(unused, esra)).toBe(unused);
    const used = withBootstrapBound(unused, other);
    expect(afterProvingBind(used, esra)).toBe(used);
  });
});

it('time takes the bootstrap account, and ESRAs with a successor', () => {
  const successor = {
    ...esra,
    name: 'ESRA.edge1.hub1.1',
    effectiveAt: START + 27 * DAY,
    expiresAt: START + 57 * DAY,
  };
  const ofAnother = { ...esra, name: 'ESRA.edge1.hub2.0', hub: 'hub2' };
  const state = { accounts: [bootstrap, esra, successor, ofAnother], hubs: {} };
  expect(withoutExpired(state, START)).toBe(state);
  expect(withoutExpired(state, START + DAY).accounts).toEqual([esra, successor, ofAnother]);
  expect(withoutExpired(state, START + 30 * DAY).accounts).toEqual([successor, ofAnother]);
  expect(withoutExpired(state, START + 600 * DAY).accounts).toEqual([successor, ofAnother]);
});
