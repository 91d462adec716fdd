/** The life of a pair's credentials on the edge, over real connections: what a hub is answered, and what of its sessions is left. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ShiftedClock } from '../../../test/fakes/shifted-clock.ts';
import { LinkedSite } from '../../../test/support/linked-site.ts';
import { RenewalHub, type Bound, type HubCredential } from '../../../test/support/renewal-hub.ts';
import { code } from '../../../test/support/rogue-hub.ts';
import { findHub } from '../../credential/credential-state.ts';
import { accountsOf, pairOf } from '../../credential/edge-pairs.ts';
import type { LdapClient } from '../../ldap/client.ts';
import { pairWarnings } from './pair-status.ts';

const DAY = 86_400_000;
const MINUTE = 60_000;
let clock: ShiftedClock;
let site: LinkedSite;
let hub: RenewalHub;
let first: HubCredential;
beforeEach(async () => {
  clock = new ShiftedClock();
  site = await LinkedSite.start({}, clock);
  hub = await RenewalHub.join(site, 'hub1');
  first = await hub.first();
});
afterEach(async () => {
  await site[Symbol.asyncDispose]();
});

const verdictOf = async (bind: Promise<Bound>): Promise<string> => {
  const bound = await bind;
  bound.client.destroy();
  return `${bound.result} ${bound.verdict ?? 'nothing'}${bound.diagnostic === '' ? '' : ` (${bound.diagnostic})`}`;
};
const accounts = (): string[] => accountsOf(site.trust.value.accounts, 'hub1').map(({ name }) => name);
const shown = (): string[] => {
  const { tree } = site.directory.database;
  const names: string[] = [];
  const parent = site.directory.resolve('cn=Accounts');
  for (let id = tree.firstChild(parent); id !== 0; id = tree.nextSibling(id))
    names.push(site.directory.database.dnText(id).split(',')[0]?.slice(3) ?? '');
  return names;
};
const pair = () => pairOf(site.trust.value, 'hub1');
const warnings = (): string[] =>
  pairWarnings(site.trust.value, site.services.pairs.timings, clock.now()).map((one) => one.code);
const mayPush = async (client: LdapClient): Promise<boolean> =>
  (await client.search({ base: 'cn=Sync', scope: 'base' }).done).operation.result.code === 0;
/** A successor that is effective in `days`. */
const successor = (number: number, days = 4): Promise<HubCredential> => {
  const effectiveAt = clock.now() + days * DAY;
  return hub.issue(number, { effectiveAt, expiresAt: effectiveAt + 30 * DAY });
};

describe('the ordinary life', () => {
  it('a successor is proved before its time, used from then on, and outlives the one before', async () => {
    const bound = await hub.bind(first);
    expect([bound.result, bound.verdict, bound.highest]).toEqual(['success', 'ok', 0]);
    expect(await mayPush(bound.client)).toBe(true);
    clock.shift(23 * DAY);
    const next = await successor(1);
    await hub.push(first, [first, next]);
    expect(accounts()).toEqual([first.userName, next.userName]);

    const early = await hub.bind(next);
    expect([early.result, early.verdict, early.highest]).toEqual(['success', 'who-am-i-only', 1]);
    expect(await early.client.whoAmI()).toBe(`dn:cn=${next.userName},cn=Accounts`);
    expect(await mayPush(early.client)).toBe(false);
    expect(await code(hub.retire(early.client, { action: 'leave' }))).toBe(53);
    // Whose own clock is ten minutes ahead is let in all the same.
    clock.shift(4 * DAY - 10 * MINUTE);
    expect(await verdictOf(hub.bind(next))).toBe('success ok');
    expect(pair().accounts.map(({ proved }) => proved)).toEqual([true, true]);

    clock.shift(3 * DAY + 21 * MINUTE);
    expect(await verdictOf(hub.bind(first))).toBe('invalidCredentials refused');
    await site.services.pairs.cycle();
    expect(accounts()).toEqual([next.userName]);
    // The last one of a pair is never deleted by time.
    clock.shift(400 * DAY);
    await site.services.pairs.cycle();
    expect(accounts()).toEqual([next.userName]);
    expect(await verdictOf(hub.bind(next))).toBe('invalidCredentials refused');
  });

  it('a session deletes other accounts of its pair, and their records install nothing any more', async () => {
    const next = await hub.issue(1);
    await hub.push(first, [first, next]);
    const old = await hub.bind(first);
    const session = await hub.bind(next);
    expect(await code(hub.retire(session.client, { action: 'delete', number: 1 }))).toBe(53);
    await hub.retire(session.client, { action: 'delete', number: 0 });
    // A session of the account that is gone is gone, too.
    await old.client.closed;
    expect([accounts(), shown()]).toEqual([[next.userName], [next.userName]]);
    // Done again, it is done.
    await hub.retire(session.client, { action: 'delete', number: 0 });
    await hub.push(next, [first, next]);
    expect(accounts()).toEqual([next.userName]);
    expect(await verdictOf(hub.bind(first))).toBe('invalidCredentials refused');
  });
});

describe('a recovery', () => {
  it('brings a hub back that was away for longer than its credentials live, three times in a row', async () => {
    await verdictOf(hub.bind(first));
    let last = first;
    for (const number of [1, 2, 3]) {
      clock.shift(60 * DAY);
      expect(await verdictOf(hub.bind(last))).toBe('invalidCredentials refused');
      const fresh = await hub.issue(number);
      expect(await hub.recover(fresh)).toEqual({ outcome: 'recovered', highest: number });
      // The answer was lost: it is given again, and not counted again.
      expect(await hub.recover(fresh)).toEqual({ outcome: 'installed', highest: number });
      expect(await verdictOf(hub.bind(fresh))).toBe('success ok');
      expect([accounts(), pair().recoveries]).toEqual([[fresh.userName], number]);
      expect(warnings()).toEqual([number === 3 ? 'credential.recovery-exhausted' : 'credential.recovered']);
      last = fresh;
    }
    clock.shift(60 * DAY);
    const fourth = await hub.issue(4);
    expect(await hub.recover(fourth)).toEqual({ outcome: 'exhausted', highest: 3 });
    expect(accounts()).toEqual([last.userName]);
    await site.services.pairs.handle('hub1', { type: 'allow-recovery' });
    expect(await hub.recover(fourth)).toEqual({ outcome: 'recovered', highest: 4 });
    expect(await verdictOf(hub.bind(fourth))).toBe('success ok');
    // An ordinary renewal counts anew.
    const fifth = await hub.issue(5);
    await hub.push(fourth, [fifth]);
    expect(await verdictOf(hub.bind(fifth))).toBe('success ok');
    expect([pair().recoveries, warnings()]).toEqual([0, []]);
  });

  it('waits while the pair works, and goes by numbers and clocks', async () => {
    const bound = await hub.bind(first);
    expect(await hub.recover(await hub.issue(1))).toEqual({ outcome: 'in-use', highest: 0 });
    clock.shift(6 * MINUTE);
    // Its session is heard again: that counts, though nobody has bound.
    expect(await mayPush(bound.client)).toBe(true);
    expect(await hub.recover(await hub.issue(1))).toEqual({ outcome: 'in-use', highest: 0 });
    clock.shift(6 * MINUTE);
    expect(await hub.recover(await hub.issue(0))).toEqual({ outcome: 'number-used', highest: 0 });
    const now = clock.now();
    for (const window of [
      { effectiveAt: now + 11 * MINUTE, expiresAt: now + DAY },
      { effectiveAt: now - DAY, expiresAt: now - 11 * MINUTE },
      { effectiveAt: now, expiresAt: now + 401 * DAY },
    ])
      expect(await hub.recover(await hub.issue(1, window))).toEqual({ outcome: 'clock', highest: 0 });
    expect([accounts(), pair().recoveries]).toEqual([[first.userName], 0]);
    expect(await hub.recover(await hub.issue(1))).toEqual({ outcome: 'recovered', highest: 1 });
  });
});

describe('a restored backup of a hub', () => {
  it('may only hand over fresh keys, which end all others', async () => {
    const call = hub.count();
    const before = await hub.bind(first, { call });
    const restored = await hub.bind(first, { call });
    expect([restored.result, restored.verdict]).toEqual(['success', 'reused']);
    expect(warnings()).toEqual(['credential.restored']);
    expect(await restored.client.whoAmI()).toContain('hub1');
    expect(await mayPush(restored.client)).toBe(false);
    expect(await code(hub.retire(restored.client, { action: 'delete', number: 0 }))).toBe(50);
    const fresh = await hub.issue(1);
    expect(await hub.install(restored.client, fresh)).toEqual({ outcome: 'installed', highest: 1 });
    const again = await hub.bind(fresh, { call: { instance: 'ab'.repeat(16), counter: 1 } });
    expect(again.verdict).toBe('ok');
    await before.client.closed;
    await restored.client.closed;
    expect([accounts(), pair().recoveries]).toEqual([[fresh.userName], 0]);
  });

  it('that runs beside the original suspends the pair, until one is switched off', async () => {
    const original = hub.call;
    await verdictOf(hub.bind(first));
    hub.call = original;
    // The copy calls with a counter that was used, and gets fresh keys.
    const copied = await hub.bind(first);
    expect(copied.verdict).toBe('reused');
    const fresh = await hub.issue(1);
    await hub.install(copied.client, fresh);
    const copy = (counter: number) => ({ instance: 'cd'.repeat(16), counter });
    const session = await hub.bind(fresh, { call: copy(1) });
    expect(session.verdict).toBe('ok');
    // The original, which does not know, calls on.
    expect(await verdictOf(hub.bind(fresh, { call: hub.count() }))).toBe('invalidCredentials refused');
    expect(pair().phase).toBe('active');
    // And the copy is heard once more, without binding anew: both are alive.
    await code(session.client.search({ base: 'cn=Sync', scope: 'base' }).done);
    await session.client.closed;
    expect([pair().phase, warnings()]).toEqual(['suspended', ['credential.two-instances']]);
    for (const call of [copy(2), hub.count()])
      expect(await verdictOf(hub.bind(fresh, { call }))).toBe(
        'unwillingToPerform two-instances (credential.two-instances)',
      );
    expect(await hub.recover(await hub.issue(2))).toEqual({ outcome: 'two-instances', highest: 1 });
    // Whoever has the password alone is not told.
    const stranger = await RenewalHub.join(site, 'hub2');
    expect(await verdictOf(hub.bind(fresh, { as: stranger.node }))).toBe('invalidCredentials nothing');

    await site.services.pairs.handle('hub1', { type: 'resolve' });
    const left = await hub.bind(fresh, { call: copy(3) });
    expect(left.verdict).toBe('reused');
    const newest = await hub.issue(2);
    expect(await hub.install(left.client, newest)).toEqual({ outcome: 'installed', highest: 2 });
    expect(await verdictOf(hub.bind(newest, { call: copy(4) }))).toBe('success ok');
    expect(accounts()).toEqual([newest.userName]);
  });
});

describe('the end of a pair', () => {
  it('is answered, ends the sessions, and is told to the hub; a new file begins anew', async () => {
    const session = await hub.bind(first);
    const other = await hub.bind(first);
    await hub.retire(session.client, { action: 'leave' });
    await Promise.all([session.client.closed, other.client.closed]);
    expect([accounts(), shown()]).toEqual([[], []]);
    const ended = 'unwillingToPerform not-admitted (credential.not-admitted)';
    expect(await verdictOf(hub.bind(first))).toBe(ended);
    expect(await hub.recover(await hub.issue(1))).toEqual({ outcome: 'not-admitted', highest: 0 });
    const again = await RenewalHub.join(site, 'hub1', hub.node);
    expect(await verdictOf(again.bind(await again.first()))).toBe('success ok');
    // Those of before stay worthless.
    expect(await verdictOf(hub.bind(first))).toBe('invalidCredentials nothing');
  });

  it('a hub that was removed from the site is told so, by the key that it had', async () => {
    const pin = hub.node.identity.pin;
    await site.trust.update((draft) => {
      const { hub1: _gone, ...hubs } = draft.hubs;
      return { ...draft, hubs, accounts: [], pairs: {}, removedHubs: { [pin]: clock.now() } };
    });
    expect(findHub(site.trust.value.hubs, 'hub1')).toBeUndefined();
    expect(await verdictOf(hub.bind(first))).toBe(
      'unwillingToPerform not-admitted (credential.not-admitted)',
    );
  });
});
