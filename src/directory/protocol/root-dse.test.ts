/** The root DSE says what is so (RFC 4512 §5.1): each OID listed is answered, and none that is answered is missing. */
import { describe, expect, it } from 'vitest';
import { makeCertificate } from '../../../test/support/certificate.ts';
import { critical, found, outcome, textsOf } from '../../../test/support/directory-answers.ts';
import { accept, BASE } from '../../../test/support/directory-requests.ts';
import {
  addition,
  ADMINISTRATOR,
  type ServedDirectory,
  serveDirectory,
} from '../../../test/support/served-directory.ts';
import { parseGeneralizedTime } from '../../asn1/time.ts';
import { encodeDer } from '../../asn1/writer.ts';
import { systemClock } from '../../base/clock.ts';
import type { LdapClient } from '../../ldap/client.ts';
import { CONTROL, EXTENDED, FEATURE } from '../../ldap/control.ts';
import {
  decodePagedResults,
  decodeReadResult,
  decodeSortResult,
  encodeAssertion,
  encodePagedResults,
  encodeReadRequest,
  encodeSortRequest,
} from '../../ldap/control-values.ts';
import { encodeCancelRequest, encodeEndTransactionRequest } from '../../ldap/extended-values.ts';
import { parseFilter } from '../../ldap/filter.ts';
import type { Modification } from '../../ldap/message.ts';
import { encodeSyncRequest } from '../../ldap/sync-values.ts';
import { resultOf, SUCCESS } from '../directory.ts';
import { READER_LIMITS } from './limits.ts';

const OWN_EXTENSION = '1.2.3.4.1';
const OWN_CONTROL = '1.2.3.4.2';
const A = `cn=a,${BASE}`;
const PERSON = [
  { type: 'objectClass', values: [Buffer.from('person')] },
  { type: 'sn', values: [Buffer.from('s')] },
];

const made = makeCertificate();

/** A server with everything that an owner can switch on. */
async function full(): Promise<ServedDirectory> {
  const { certificate, key } = await made;
  return serveDirectory({
    hooks: {
      authenticate: ({ name }) => ({
        identity: { role: 'administrator', authorizationId: `dn:${name}`, dn: name },
      }),
      changePassword: () => ({ result: SUCCESS }),
      extended: { [OWN_EXTENSION]: () => ({ result: resultOf('success', 'mine') }) },
      controls: [OWN_CONTROL],
    },
    server: { startTls: true, vendorVersion: '1.2.3', saslMechanisms: ['EXTERNAL'] },
    listener: { tls: { identity: { key, certificate }, startTls: true } },
    entries: [
      addition(BASE, { objectClass: ['domain'] }),
      addition(A, {
        objectClass: ['person', 'extensibleObject'],
        sn: ['s'],
        msExchRecipientTypeDetails: ['1'],
        'description;lang-de': ['x'],
      }),
      addition(`ou=u,${BASE}`, { objectClass: ['organizationalUnit'] }),
      addition(`cn=b,ou=u,${BASE}`, { objectClass: ['person'], sn: ['s'] }),
    ],
  });
}

async function rootDse(client: LdapClient): Promise<Readonly<Record<string, readonly string[]>>> {
  return (await found(client, { base: '', scope: 'base', attributes: ['*', '+'] })).entries[''] ?? {};
}

const code = async (sent: Parameters<typeof outcome>[0]): Promise<string> =>
  (await outcome(sent)).split(':')[0] ?? '';

/** How each control shows that it is understood. */
const CONTROL_PROBES: Readonly<Record<string, (client: LdapClient) => Promise<unknown>>> = {
  async [CONTROL.assertion](client) {
    const value = encodeAssertion(parseFilter('(sn=other)'));
    expect((await found(client, { base: A }, [critical(CONTROL.assertion, value)])).result).toBe(
      'assertionFailed',
    );
  },
  async [CONTROL.preRead](client) {
    const controls = [critical(CONTROL.preRead, encodeReadRequest(['sn']))];
    const done = await client.modify(A, [], { controls }).result;
    expect(textsOf(decodeReadResult(done.controls[0]?.value).attributes)).toEqual({ sn: ['s'] });
  },
  async [CONTROL.postRead](client) {
    const controls = [critical(CONTROL.postRead, encodeReadRequest(['sn']))];
    const done = await client.modify(A, [], { controls }).result;
    expect(textsOf(decodeReadResult(done.controls[0]?.value).attributes)).toEqual({ sn: ['s'] });
  },
  async [CONTROL.pagedResults](client) {
    const value = encodePagedResults({ size: 1, cookie: Buffer.alloc(0) });
    const got = await found(client, { base: BASE }, [critical(CONTROL.pagedResults, value)]);
    expect(got.names).toHaveLength(1);
    expect(decodePagedResults(got.controls[0]?.value).cookie.length).toBeGreaterThan(0);
  },
  async [CONTROL.sortRequest](client) {
    const value = encodeSortRequest([{ attribute: 'cn', reverse: true }]);
    const got = await found(client, { base: BASE }, [critical(CONTROL.sortRequest, value)]);
    expect(decodeSortResult(got.controls[0]?.value)).toEqual({ code: 0 });
  },
  async [CONTROL.syncRequest](client) {
    const value = encodeSyncRequest({ mode: 'refreshOnly', reloadHint: false });
    const got = await found(client, { base: BASE }, [critical(CONTROL.syncRequest, value)]);
    expect([got.result, ...got.controls.map(({ oid }) => oid)]).toEqual(['success', CONTROL.syncDone]);
  },
  async [CONTROL.transactionSpecification](client) {
    const { operation } = await client.extended(EXTENDED.startTransaction).result;
    const controls = [critical(CONTROL.transactionSpecification, operation.value)];
    await client.add(`cn=t,${BASE}`, PERSON, { controls }).result;
    const value = encodeEndTransactionRequest({
      commit: false,
      identifier: operation.value ?? Buffer.alloc(0),
    });
    expect(await code(client.extended(EXTENDED.endTransaction, value))).toBe('success');
    expect((await found(client, { base: `cn=t,${BASE}` })).result).toBe('noSuchObject');
  },
  async [CONTROL.treeDelete](client) {
    expect(await code(client.delete(`ou=u,${BASE}`, { controls: [critical(CONTROL.treeDelete)] }))).toBe(
      'success',
    );
  },
  async [CONTROL.manageDsaIT](client) {
    expect((await found(client, { base: A }, [critical(CONTROL.manageDsaIT)])).result).toBe('success');
  },
  async [CONTROL.idempotent](client) {
    expect(await code(client.add(A, PERSON, { controls: [critical(CONTROL.idempotent)] }))).toBe('success');
  },
  async [OWN_CONTROL](client) {
    expect((await found(client, { base: A }, [critical(OWN_CONTROL)])).result).toBe('success');
  },
};

const EXTENSION_PROBES: Readonly<Record<string, (client: LdapClient) => Promise<unknown>>> = {
  async [EXTENDED.whoAmI](client) {
    expect(await client.whoAmI()).toBe(`dn:${ADMINISTRATOR.dn}`);
  },
  async [EXTENDED.cancel](client) {
    const sent = client.extended(EXTENDED.cancel, encodeCancelRequest(99_999), { accept });
    expect(await code(sent)).toBe('noSuchOperation');
  },
  async [EXTENDED.startTransaction](client) {
    expect(await code(client.extended(EXTENDED.startTransaction))).toBe('success');
  },
  async [EXTENDED.endTransaction](client) {
    const { operation } = await client.extended(EXTENDED.startTransaction).result;
    const value = encodeEndTransactionRequest({
      commit: true,
      identifier: operation.value ?? Buffer.alloc(0),
    });
    expect(await code(client.extended(EXTENDED.endTransaction, value))).toBe('success');
  },
  async [EXTENDED.passwordModify](client) {
    expect(await code(client.extended(EXTENDED.passwordModify, undefined))).toBe('success');
  },
  async [EXTENDED.startTls](client) {
    await client.startTls({ trust: { kind: 'pinned', verifyPeer: () => undefined } });
    expect((await rootDse(client))['supportedExtension']).not.toContain(EXTENDED.startTls);
  },
  async [OWN_EXTENSION](client) {
    expect(await outcome(client.extended(OWN_EXTENSION))).toBe('success: mine');
  },
};

const names = async (client: LdapClient, filter: string): Promise<readonly string[]> =>
  (await found(client, { base: BASE, filter: parseFilter(filter), attributes: ['1.1'] })).names;

const FEATURE_PROBES: Readonly<Record<string, (client: LdapClient) => Promise<unknown>>> = {
  async [FEATURE.modifyIncrement](client) {
    const attribute = { type: 'msExchRecipientTypeDetails', values: [Buffer.from('2')] };
    const increment: Modification = { kind: 'increment', attribute };
    expect(await code(client.modify(A, [increment]))).toBe('success');
    expect(await names(client, '(msExchRecipientTypeDetails=3)')).toEqual([A]);
  },
  async [FEATURE.allOperationalAttributes](client) {
    const { entries } = await found(client, { base: A, attributes: ['+'] });
    expect(entries[A]).toHaveProperty('entryUUID');
    expect(entries[A]).not.toHaveProperty('sn');
  },
  async [FEATURE.objectClassAttributes](client) {
    const { entries } = await found(client, { base: A, attributes: ['@person'] });
    expect(Object.keys(entries[A] ?? {}).sort()).toEqual(['cn', 'description;lang-de', 'objectClass', 'sn']);
  },
  async [FEATURE.absoluteFilters](client) {
    expect(await names(client, '(&)')).toHaveLength(4);
    expect(await names(client, '(|)')).toEqual([]);
  },
  async [FEATURE.languageTags](client) {
    expect(await names(client, '(description;lang-de=x)')).toEqual([A]);
    expect(await names(client, '(description;lang-en=x)')).toEqual([]);
    expect(await names(client, '(description=x)')).toEqual([A]);
  },
  async [FEATURE.languageRanges](client) {
    expect(await names(client, '(description;lang-d-=x)')).toEqual([]);
    expect(await names(client, '(description;lang-de-=x)')).toEqual([A]);
    expect(await names(client, '(description;lang-=x)')).toEqual([A]);
  },
};

describe('what the root DSE lists', () => {
  const listed = async (attribute: string): Promise<readonly string[]> => {
    await using served = await full();
    return (await rootDse(await served.client()))[attribute] ?? [];
  };

  it.each([
    ['supportedControl', CONTROL_PROBES],
    ['supportedExtension', EXTENSION_PROBES],
    ['supportedFeatures', FEATURE_PROBES],
  ])('%s: each is answered, and what is answered is listed', async (attribute, probes) => {
    expect([...(await listed(attribute))].sort()).toEqual(Object.keys(probes).sort());
    for (const probe of Object.values(probes)) {
      await using served = await full();
      await probe(await served.client());
    }
  });

  it('any other control or extended operation that we know by name is refused', async () => {
    await using served = await full();
    const client = await served.client();
    const refusal = 'unavailableCriticalExtension';
    for (const oid of Object.values(CONTROL)) {
      if (CONTROL_PROBES[oid] !== undefined) continue;
      const options = {
        controls: [
          critical(
            oid,
            encodeDer((writer) => writer.boolean(true)),
          ),
        ],
        accept,
      };
      const answers = [
        (await found(client, { base: A }, options.controls)).result,
        await code(client.add(`cn=x,${BASE}`, PERSON, options)),
        await code(client.modify(A, [], options)),
        await code(client.modifyDn(A, { newRdn: 'cn=z', deleteOldRdn: true }, options)),
        await code(client.delete(A, options)),
        await code(client.compare(A, 'sn', Buffer.from('s'), options)),
        await code(client.extended(EXTENDED.whoAmI, undefined, options)),
      ];
      expect([oid, ...answers]).toEqual([oid, ...answers.map(() => refusal)]);
    }
    for (const oid of Object.values(EXTENDED)) {
      if (EXTENSION_PROBES[oid] !== undefined) continue;
      expect(await outcome(client.extended(oid, undefined, { accept }))).toBe(
        `protocolError: extended operation ${oid} is not supported`,
      );
    }
    for (const oid of ['constructor', '__proto__', 'toString', '1.2'])
      expect(await code(client.extended(oid, undefined, { accept }))).toBe('protocolError');
  });

  it('the rest of it', async () => {
    await using served = await full();
    const client = await served.client();
    const dse = await rootDse(client);
    expect(dse).toMatchObject({
      objectClass: ['top', 'extensibleObject'],
      namingContexts: [BASE],
      subschemaSubentry: ['cn=Subschema'],
      supportedLDAPVersion: ['3'],
      supportedSASLMechanisms: ['EXTERNAL'],
      vendorName: ['Postern'],
      vendorVersion: ['1.2.3'],
    });
    // The server's clock, to the second.
    const told = parseGeneralizedTime(dse['currentTime']?.[0] ?? '') ?? 0;
    expect(Math.abs(told - systemClock.now())).toBeLessThan(60_000);
    // Operational attributes are sent when they are asked for (RFC 4512 §5.1).
    const plain = await found(client, { base: '', scope: 'base' });
    expect(plain.entries['']).toEqual({ objectClass: ['top', 'extensibleObject'] });
    const types = {
      base: '',
      scope: 'base' as const,
      attributes: ['namingContexts', 'nothing'],
      typesOnly: true,
    };
    expect((await found(client, types)).entries['']).toEqual({ namingContexts: [] });
    for (const [filter, count] of [
      ['(objectClass=*)', 1],
      ['(supportedControl=1.2.840.113556.1.4.319)', 1],
      ['(objectClass=person)', 0],
    ] as const) {
      const asked = { base: '', scope: 'base' as const, filter: parseFilter(filter) };
      expect((await found(client, asked)).names).toHaveLength(count);
    }
    const paged = critical(CONTROL.pagedResults, encodePagedResults({ size: 5, cookie: Buffer.alloc(0) }));
    const page = await found(client, { base: '', scope: 'base' }, [paged]);
    expect(decodePagedResults(page.controls[0]?.value)).toMatchObject({ size: 0, cookie: Buffer.alloc(0) });
    // It is nobody's child, and cannot be changed.
    expect((await found(client, { base: '', scope: 'one', attributes: ['1.1'] })).names).toEqual([BASE]);
    expect(await code(client.delete('', { accept }))).toBe('unwillingToPerform');
    expect(await code(client.modify('', [], { accept }))).toBe('unwillingToPerform');
    expect(await code(client.add('', PERSON, { accept }))).toBe('unwillingToPerform');
  });

  it('is less for those who may less', async () => {
    await using served = await serveDirectory({
      server: {
        limits: () => READER_LIMITS,
        allow: (operation) => ['bindRequest', 'searchRequest', EXTENDED.whoAmI].includes(operation),
      },
    });
    const dse = await rootDse(await served.client('anonymous'));
    expect(dse['supportedExtension']).toEqual([EXTENDED.whoAmI]);
    expect([...(dse['supportedControl'] ?? [])].sort()).toEqual(
      [CONTROL.assertion, CONTROL.manageDsaIT, CONTROL.pagedResults, CONTROL.sortRequest].sort(),
    );
    expect(dse['supportedSASLMechanisms']).toBeUndefined();
    // Nor are controls of updates, for who may change nothing.
    await using open = await serveDirectory();
    const reader = await rootDse(await open.client('anonymous'));
    expect(reader['supportedControl']).not.toContain(CONTROL.preRead);
    expect(reader['supportedControl']).toContain(CONTROL.assertion);
    expect((await rootDse(await open.client()))['supportedControl']).toContain(CONTROL.preRead);
  });
});
