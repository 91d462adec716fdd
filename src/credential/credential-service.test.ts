/** What becomes an account on the edge, and what does not. */
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  CredentialSite,
  DAY,
  issueTo,
  makeNode,
  peerOf,
  random,
  reasons,
  START,
} from '../../test/support/credential-site.ts';
import { Secret } from '../base/secret.ts';
import type { Account } from './account.ts';
import { createAddressKey, createAddressKeyRecord } from './address-key.ts';
import { checkHub } from './bind.ts';
import { parseAccountName } from './account-name.ts';
import { findHub } from './credential-state.ts';
import type { HubNode } from './issue.ts';
import { createPassword, DEFAULT_PASSWORD_POLICY, digestPassword } from './password.ts';
import { createCredentialRecord, type NewCredential } from './record.ts';

let hub: HubNode;
let second: HubNode;
let mallory: HubNode;
let edge: HubNode;
let otherEdge: HubNode;
let site: CredentialSite;
const arrive: CredentialSite['arrive'] = (...args) => site.arrive(...args);
const issue = (from: HubNode, number?: number, effectiveAt?: number): Promise<Buffer> =>
  issueTo(edge, from, number, effectiveAt);
beforeAll(async () => {
  hub = await makeNode('hub1');
  second = await makeNode('hub2');
  mallory = await makeNode('mallory');
  edge = await makeNode('edge1');
  otherEdge = await makeNode('edge2');
});
beforeEach(() => {
  site = new CredentialSite(edge, hub);
});

const record = async (
  change: Partial<NewCredential>,
  options: { issuer?: HubNode; to?: HubNode; password?: Secret } = {},
): Promise<Buffer> =>
  createCredentialRecord(
    {
      targetServerFqdn: 'edge1.example',
      sourceServerFqdn: 'hub1.example',
      effectiveAt: START,
      expiresAt: START + 30 * DAY,
      userName: 'ESRA.edge1.hub1.0',
      ...change,
    },
    options.password ?? createPassword(DEFAULT_PASSWORD_POLICY, random),
    peerOf(options.to ?? edge),
    (options.issuer ?? hub).identity,
  );
describe('the first session', () => {
  it('admits the presenting hub, makes its account and takes the address key', async () => {
    const password = createPassword(DEFAULT_PASSWORD_POLICY, random);
    const key = createAddressKey(random);
    const keyRecord = await createAddressKeyRecord(
      key,
      { fqdn: 'edge1.example', createdAt: START },
      peerOf(edge),
      hub.identity,
    );
    const report = await arrive({ records: [await record({}, { password })], addressKeys: [keyRecord] });
    expect(report).toEqual({
      admitted: ['hub1'],
      removed: [],
      installed: ['ESRA.edge1.hub1.0'],
      unchanged: [],
      addressKey: key.id,
      refused: [],
    });
    expect(findHub(site.store.value.hubs, 'HUB1')).toMatchObject({
      name: 'hub1',
      fqdn: 'hub1.example',
      pins: { current: hub.identity.pin },
      admittedBy: 'bootstrap',
    });
    expect(site.store.value.addressKey?.key.equals(key.key)).toBe(true);
    const name = parseAccountName('esra.edge1.hub1.0');
    if (name?.kind !== 'esra') throw new Error('no name');
    const bind = (by: HubNode, secret: Secret): string =>
      checkHub(site.store.value, 'edge1', name, 'esra.edge1.hub1.0', secret.reveal(), by.identity.pin)
        .outcome;
    expect([bind(hub, password), bind(mallory, password), bind(hub, new Secret('x'))]).toEqual([
      'hub',
      'refused',
      'refused',
    ]);
    expect(JSON.stringify(site.store.value.accounts)).not.toContain(password.revealText());
  });

  it('does the same work once', async () => {
    const arrival = { records: [await issue(hub)] };
    await arrive(arrival);
    const before = site.store.value.accounts[0];
    expect(await arrive(arrival)).toMatchObject({
      admitted: [],
      installed: [],
      unchanged: ['ESRA.edge1.hub1.0'],
      refused: [],
    });
    expect(await arrive(arrival, hub, 'hub')).toMatchObject({ unchanged: ['ESRA.edge1.hub1.0'] });
    expect([site.store.writes, site.store.value.accounts[0]]).toEqual([1, before]);
  });

  it('waits for the hub object when the record comes first', async () => {
    const records = [await issue(hub)];
    expect(reasons(await arrive({ hubs: [], records }))).toEqual([
      'credential.invalid: hub hub1 is not admitted',
    ]);
    expect((await arrive({ records })).installed).toEqual(['ESRA.edge1.hub1.0']);
  });

  it("admits nobody whose certificate is not this session's", async () => {
    const report = await arrive({ records: [await issue(hub)] }, mallory);
    expect(reasons(report)).toEqual([
      'credential.invalid: no admitted hub endorses it',
      'credential.invalid: hub hub1 is not admitted',
    ]);
    expect(site.store.writes).toBe(0);
  });

  it('stops two arrivals from mixing', async () => {
    const reports = await Promise.all([
      arrive({ records: [await issue(hub, 0)] }),
      arrive({ records: [await issue(hub, 1)] }, hub, 'hub'),
    ]);
    expect(reports.map((report) => report.installed)).toEqual([['ESRA.edge1.hub1.0'], ['ESRA.edge1.hub1.1']]);
    expect(site.accountNames()).toEqual(['ESRA.edge1.hub1.0', 'ESRA.edge1.hub1.1']);
  });
});

describe('a record is refused', () => {
  it.each<[string, () => Promise<Buffer>, string]>([
    ['that is none', () => Promise.resolve(Buffer.from('junk')), 'decode'],
    [
      'for another edge by name',
      () => record({ userName: 'ESRA.edge2.hub1.0' }),
      'credential.invalid: it is for another edge',
    ],
    [
      'for another edge by host',
      () => record({ targetServerFqdn: 'edge2.example' }),
      'credential.invalid: it is for another edge',
    ],
    [
      'sealed to another edge',
      () => record({}, { to: otherEdge }),
      'credential.invalid: it is sealed to another node',
    ],
    [
      "that is the hub's own copy",
      () => record({}, { to: hub }),
      'credential.invalid: it is sealed to another node',
    ],
    ['of a hub that is not admitted', () => issue(second), 'credential.invalid: hub hub2 is not admitted'],
    [
      "signed by somebody else in the hub's name",
      () => record({}, { issuer: mallory }),
      'pin.mismatch: a sealed record was issued by a key that is not trusted here',
    ],
    [
      'of another host than the hub',
      () => record({ sourceServerFqdn: 'mallory.example' }),
      'credential.invalid: it is for another host than that of hub hub1',
    ],
    [
      'of the bootstrap account',
      () => record({ userName: 'ESRA.edge1', sourceServerFqdn: '' }),
      'credential.invalid: a bootstrap credential makes no account here',
    ],
    [
      'that has expired',
      () => record({ effectiveAt: START - 30 * DAY, expiresAt: START }),
      'credential.expired: it has expired',
    ],
    [
      'that lives too long',
      () => record({ expiresAt: START + 401 * DAY }),
      'credential.invalid: its times are not acceptable',
    ],
    [
      'from too far in the future',
      () => record({ effectiveAt: START + 91 * DAY, expiresAt: START + 120 * DAY }),
      'credential.invalid: its times are not acceptable',
    ],
    [
      'with a weak password',
      () => record({}, { password: new Secret('hunter2') }),
      'credential.invalid: its password does not fit the policy of this edge: it is shorter than 32 characters',
    ],
    [
      'with a bit changed in its signature',
      async () => {
        const bytes = await issue(hub);
        bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
        return bytes;
      },
      'credential.invalid: the signature of a sealed record does not fit',
    ],
  ])('%s', async (_name, make, reason) => {
    const report = await arrive({ records: [await make(), await issue(hub, 7)] });
    expect(reasons(report)).toEqual([expect.stringContaining(reason)]);
    // One bad record keeps no good one out.
    expect(site.accountNames()).toEqual(['ESRA.edge1.hub1.7']);
  });

  it('that is sealed to a key the edge does not hold', async () => {
    const stranger = { ...edge, sealingKeys: otherEdge.sealingKeys };
    expect(reasons(await arrive({ records: [await record({}, { to: stranger })] }))).toEqual([
      expect.stringContaining('seal.open-failed'),
    ]);
  });

  it('that is older than one of its name that was installed: a replay', async () => {
    const old = await issue(hub, 0, START - DAY);
    const now = await issue(hub, 0, START);
    expect((await arrive({ records: [now] })).installed).toHaveLength(1);
    expect(reasons(await arrive({ records: [old] }))).toEqual([
      'credential.invalid: its number was used before',
    ]);
    // The same times: the same credential, sealed again after a rollover. Nothing is taken from it.
    const before = site.store.value.accounts;
    expect((await arrive({ records: [await issue(hub, 0, START)] })).unchanged).toHaveLength(1);
    expect(site.store.value.accounts).toEqual(before);
    expect((await arrive({ records: [await issue(hub, 0, START + 1)] })).installed).toHaveLength(1);
    expect(site.accountNames()).toEqual(['ESRA.edge1.hub1.0']);
  });

  it('that is one too many', async () => {
    const records = await Promise.all(Array.from({ length: 18 }, (_, number) => issue(hub, number)));
    const report = await arrive({ records });
    expect([report.installed.length, reasons(report)]).toEqual([
      16,
      Array(2).fill('credential.invalid: the pair has 16 accounts already'),
    ]);
  });
});

it('time: what has a successor and expired goes with the next arrival; the bootstrap account when its time is over', async () => {
  const bootstrap: Account = {
    name: 'ESRA.edge1',
    kind: 'bootstrap',
    pin: hub.identity.pin,
    state: 'active',
    password: digestPassword(new Secret('x'), random),
    effectiveAt: START,
    expiresAt: START + DAY,
  };
  site.store.value = { accounts: [bootstrap], hubs: {} };
  await arrive({ records: [await issue(hub, 0)] });
  expect(site.accountNames()).toEqual(['ESRA.edge1', 'ESRA.edge1.hub1.0']);
  await site.clock.advance(31 * DAY);
  await arrive({ records: [await issue(hub, 1, START + 27 * DAY)] }, hub, 'hub');
  expect(site.accountNames()).toEqual(['ESRA.edge1.hub1.1']);
});
