import { describe, expect, it } from 'vitest';
import { type Pin, pinFromBytes } from '../certificate/pin.ts';
import { type Account, bindBootstrap, mayBindBootstrap, sessionEndsAt } from './account.ts';
import { accountObject } from './account-object.ts';
import { NO_ACCOUNT_DIGEST } from './password.ts';

const MIN = 60_000;
const HUB = pinFromBytes(Buffer.alloc(32, 1));
const OTHER = pinFromBytes(Buffer.alloc(32, 2));
const window = { effectiveAt: 1_000 * MIN, expiresAt: 2_000 * MIN };
const esra: Account = {
  name: 'ESRA.edge1.hub1.0',
  kind: 'esra',
  hub: 'hub1',
  password: NO_ACCOUNT_DIGEST,
  state: 'active',
  ...window,
};
const bootstrap: Account = {
  name: 'ESRA.edge1',
  kind: 'bootstrap',
  password: NO_ACCOUNT_DIGEST,
  state: 'active',
  ...window,
};
const sealed: Account = { ...bootstrap, pin: HUB };

const outcome = (account: Account, now: number, pin: Pin | undefined): string => {
  const decision = mayBindBootstrap(account, now, pin);
  return decision.outcome === 'refused' ? decision.code : decision.outcome;
};

describe('a bootstrap bind', () => {
  it.each([
    // It does not bend.
    ['bootstrap', bootstrap, 1_000 * MIN - 1, HUB, 'not-yet-effective'],
    ['bootstrap', bootstrap, 1_000 * MIN, HUB, 'ok'],
    ['bootstrap', bootstrap, 1_000 * MIN, OTHER, 'ok'],
    ['bootstrap', bootstrap, 2_000 * MIN - 1, HUB, 'ok'],
    ['bootstrap', bootstrap, 2_000 * MIN, HUB, 'expired'],
    ['bootstrap', bootstrap, 1_500 * MIN, undefined, 'no-client-certificate'],
    ['sealed bootstrap', sealed, 1_500 * MIN, HUB, 'ok'],
    ['sealed bootstrap', sealed, 1_500 * MIN, OTHER, 'wrong-client-certificate'],
  ])('with %s (%#)', (_name, account, now, pin, expected) => {
    expect(outcome(account, now, pin)).toBe(expected);
  });

  it('binds the bootstrap account to the first client for good', () => {
    const bound = bindBootstrap(bootstrap, HUB);
    expect(outcome(bound, 1_500 * MIN, HUB)).toBe('ok');
    expect(outcome(bound, 1_500 * MIN, OTHER)).toBe('wrong-client-certificate');
    expect(bindBootstrap(bound, OTHER)).toBe(bound);
    expect(bindBootstrap(esra, OTHER)).toBe(esra);
  });

  it('says when, by whose clock', () => {
    expect(mayBindBootstrap(bootstrap, 0, HUB)).toMatchObject({
      reason: "effective in 16 h 40 min by the edge's clock",
    });
    expect(mayBindBootstrap(bootstrap, 2_005 * MIN, HUB)).toMatchObject({
      reason: "expired 5 min ago by the edge's clock",
    });
  });

  it('ends with the window', () => {
    expect(sessionEndsAt(esra)).toBe(2_010 * MIN);
    expect(sessionEndsAt(bootstrap)).toBe(2_000 * MIN);
  });
});

it('shows itself in the directory without its secret', () => {
  const request = accountObject({ ...esra, password: { salt: 'c2FsdA==', digest: 'ZGlnZXN0' } });
  expect(request.dn).toBe('cn=ESRA.edge1.hub1.0,cn=Accounts');
  expect(request.attributes.map(({ type, values }) => `${type}: ${values.join()}`)).toEqual([
    'objectClass: posternAccount',
    'cn: ESRA.edge1.hub1.0',
    'posternEffectiveTime: 19700101164000Z',
    'posternExpirationTime: 19700102092000Z',
    'posternAccountState: active',
  ]);
});
