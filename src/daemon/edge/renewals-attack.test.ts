/** Attacks on the life cycle of credentials: by strangers, by a hub against another, by whoever recorded or altered what an honest hub sent. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ShiftedClock } from '../../../test/fakes/shifted-clock.ts';
import { LinkedSite } from '../../../test/support/linked-site.ts';
import { RenewalHub, type HubCredential } from '../../../test/support/renewal-hub.ts';
import { code, makeHubNode } from '../../../test/support/rogue-hub.ts';
import { TAG } from '../../asn1/tag.ts';
import { encodeDer } from '../../asn1/writer.ts';
import { Secret } from '../../base/secret.ts';
import { signAs } from '../../certificate/identity.ts';
import { accountsOf, pairOf } from '../../credential/edge-pairs.ts';
import { decodeSealedRecord } from '../../credential/sealed-record.ts';
import type { LdapClient } from '../../ldap/client.ts';
import { POSTERN_CONTROL, POSTERN_EXTENDED } from '../../ldap/postern-oid.ts';
import { INSTALL_REQUESTS } from './renewals.ts';

const [PROTOCOL_ERROR, INVALID, BUSY, UNWILLING] = [2, 49, 51, 53];
const HOUR = 3_600_000;
const { installCredential, retireCredential } = POSTERN_EXTENDED;

const parts = new AsyncDisposableStack();
const clock = new ShiftedClock();
let site: LinkedSite;
let hub: RenewalHub;
let other: RenewalHub;
let first: HubCredential;
beforeAll(async () => {
  site = parts.use(await LinkedSite.start({}, clock));
  hub = await RenewalHub.join(site, 'hub1');
  other = await RenewalHub.join(site, 'hub2');
  first = await hub.first();
  (await hub.bind(first)).client.destroy();
});
afterAll(() => parts.disposeAsync());

const accounts = (): string[] => accountsOf(site.trust.value.accounts, 'hub1').map(({ name }) => name);
const send = (client: LdapClient, oid: string, value?: Buffer): Promise<number> =>
  code(client.extended(oid, value).result);
async function rootExtensions(client: LdapClient): Promise<string[]> {
  for await (const { operation } of client.search({ base: '', scope: 'base', attributes: ['+'] }))
    if (operation.op === 'searchResultEntry')
      return operation.attributes.find(({ type }) => type === 'supportedExtension')?.values.map(String) ?? [];
  return [];
}

describe('a stranger', () => {
  it('is not told that credentials can be handed over, or why a bind is refused', async () => {
    const stranger = await makeHubNode('stranger');
    await using client = await hub.connect(stranger);
    expect(await rootExtensions(client)).not.toContain(installCredential);
    expect(await send(client, installCredential, hub.installRequest(client, first))).toBe(UNWILLING);
    expect(await send(client, retireCredential)).toBe(UNWILLING);
    // Right name and right password, but not the key; and what is wrong with the control is not looked at.
    for (const value of [undefined, Buffer.from('junk')]) {
      const controls = [{ oid: POSTERN_CONTROL.instance, critical: true, ...(value && { value }) }];
      const reply = await client.bind(`cn=${first.userName},cn=Accounts`, first.password, {
        controls,
        accept: [INVALID],
      });
      expect([reply.operation.result, reply.controls]).toEqual([
        expect.objectContaining({ code: INVALID, diagnostic: '' }),
        [],
      ]);
    }
    await using known = await hub.connect();
    expect(await rootExtensions(known)).toContain(installCredential);
    expect(await rootExtensions(known)).not.toContain(retireCredential);
  });
});

describe('a hub against another', () => {
  it("does not get in with the other's password", async () => {
    const bound = await hub.bind(first, { as: other.node });
    expect([bound.result, bound.verdict, bound.diagnostic]).toEqual(['invalidCredentials', undefined, '']);
  });

  it.each<[string, () => Promise<{ record: Buffer; by: RenewalHub }>, number]>([
    ["the other's record", async () => ({ record: (await hub.issue(1)).record, by: other }), UNWILLING],
    [
      "the other's record, signed by the other for this very session",
      async () => ({ record: (await hub.issue(1)).record, by: hub }),
      INVALID,
    ],
    [
      "a record of its own in the other's name",
      async () => ({
        record: (await other.issue(1, undefined, { ...other.node, name: 'hub1', fqdn: 'hub1.localhost' }))
          .record,
        by: other,
      }),
      UNWILLING,
    ],
    [
      'a record of its own name, issued by the other',
      async () => ({
        record: (await hub.issue(1, undefined, { ...hub.node, name: 'hub2', fqdn: 'hub2.localhost' })).record,
        by: other,
      }),
      UNWILLING,
    ],
  ])('hands over nothing: %s', async (_name, make, expected) => {
    const { record, by } = await make();
    const before = site.trust.value;
    await using client = await other.connect();
    expect(await send(client, installCredential, by.installRequest(client, { record }))).toBe(expected);
    expect(site.trust.value.accounts).toEqual(before.accounts);
  });

  it('retires nothing but its own', async () => {
    const session = await other.bind(await other.first());
    const successor = await hub.issue(1);
    await hub.push(first, [first, successor]);
    // The number is one of its own pair, which has none such; that of the other stands.
    await other.retire(session.client, { action: 'delete', number: 1 });
    expect(accounts()).toEqual([first.userName, successor.userName]);
    const keeper = await hub.bind(first);
    await hub.retire(keeper.client, { action: 'delete', number: 1 });
    keeper.client.destroy();
    session.client.destroy();
  });
});

describe('what an honest hub sent', () => {
  it('is worth nothing in another session of the same hub', async () => {
    const fresh = await hub.issue(5);
    await using one = await hub.connect();
    const recorded = hub.installRequest(one, fresh);
    await using two = await hub.connect();
    expect(await send(two, installCredential, recorded)).toBe(INVALID);
    // Where it belongs it is judged: beside a hub that works nobody recovers.
    const { operation } = await one.extended(installCredential, recorded).result;
    expect(operation.value?.toString('hex')).toMatch(/^30060a0103/);
    expect(accounts()).toEqual([first.userName]);
  });

  it('is refused when a bit of it was changed on the way', async () => {
    const fresh = await hub.issue(5);
    await using client = await hub.connect();
    const value = hub.installRequest(client, fresh);
    const answers = new Set<number>();
    for (const at of [10, 60, 400, value.length - 1]) {
      const altered = Buffer.from(value);
      altered[at] = (altered[at] ?? 0) ^ 1;
      answers.add(await send(client, installCredential, altered));
    }
    expect([...answers].every((answer) => [PROTOCOL_ERROR, INVALID].includes(answer))).toBe(true);
    for (const junk of [undefined, Buffer.alloc(0), Buffer.from('junk'), Buffer.alloc(20_000, 0x30)])
      expect([PROTOCOL_ERROR, BUSY]).toContain(await send(client, installCredential, junk));
  });

  it('a password that was moved to the record of another account opens nothing', async () => {
    const [own, moved] = [
      decodeSealedRecord((await other.issue(6)).record),
      decodeSealedRecord((await other.issue(7)).record),
    ];
    const content = encodeDer((writer) => {
      const outer = writer.open(TAG.sequence);
      writer.octets(own.fields);
      writer.octets(moved.sealed);
      writer.close(outer);
    });
    const { identity } = other.node;
    const record = encodeDer((writer) => {
      const outer = writer.open(TAG.sequence);
      writer.octets(content);
      writer.octets(identity.certificate.spki);
      writer.octets(signAs(identity, 'postern credential v1', content));
      writer.close(outer);
    });
    await using client = await other.connect();
    const { operation } = await client.extended(installCredential, other.installRequest(client, { record }), {
      accept: [UNWILLING],
    }).result;
    expect([operation.result.code, operation.result.diagnostic]).toEqual([
      UNWILLING,
      expect.stringContaining('seal.open-failed'),
    ]);
    expect(pairOf(site.trust.value, 'hub2').highest).toBe(0);
  });
});

describe('whoever has the key of a hub', () => {
  it('and no password, retires nothing', async () => {
    await using client = await hub.connect();
    expect(await send(client, retireCredential)).toBe(UNWILLING);
    const guessed = await hub.bind({ userName: first.userName, password: new Secret('a guess') });
    expect([guessed.result, guessed.verdict]).toEqual(['invalidCredentials', undefined]);
  });

  it('gets an error for a call that is none, and does not get in without one', async () => {
    await using client = await hub.connect();
    expect(await code(client.bind(`cn=${first.userName},cn=Accounts`, first.password))).toBe(UNWILLING);
    for (const value of [undefined, Buffer.alloc(0), Buffer.from('junk')]) {
      const controls = [{ oid: POSTERN_CONTROL.instance, critical: true, ...(value && { value }) }];
      const bind = client.bind(`cn=${first.userName},cn=Accounts`, first.password, { controls });
      expect(await code(bind)).toBe(PROTOCOL_ERROR);
    }
  });

  it('keeps nobody else waiting with a hundred requests, and gets no more than its recoveries', async () => {
    clock.shift(31 * 24 * HOUR);
    const third = await RenewalHub.join(site, 'hub3');
    clock.shift(31 * 24 * HOUR);
    const records = await Promise.all(Array.from({ length: 12 }, (_, n) => third.issue(n + 1)));
    await using client = await third.connect();
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, n) =>
        send(client, installCredential, third.installRequest(client, records[n % 12] as HubCredential)),
      ),
    );
    expect(answers.filter((answer) => answer === 0).length).toBeLessThanOrEqual(INSTALL_REQUESTS.atOnce + 1);
    expect(new Set(answers)).toEqual(new Set([0, BUSY]));
    expect(pairOf(site.trust.value, 'hub3').recoveries).toBeLessThanOrEqual(3);
    // Another hub has its own share.
    expect((await other.recover(await other.issue(2))).outcome).toBe('recovered');
  });
});
