/** RFC 5805 through the protocol: nothing before the commit, all or nothing at it, one at a time, bounded. */
import { describe, expect, it } from 'vitest';
import { ask } from '../../../test/support/directory-questions.ts';
import { addition, type ServedDirectory, serveDirectory } from '../../../test/support/served-directory.ts';
import { until } from '../../../test/support/until.ts';
import { Secret } from '../../base/secret.ts';
import type { LdapClient } from '../../ldap/client.ts';
import { CONTROL, EXTENDED } from '../../ldap/control.ts';
import { decodeReadResult, encodeReadRequest } from '../../ldap/control-values.ts';
import {
  decodeEndTransactionResponse,
  type EndTransactionResponse,
  encodeEndTransactionRequest,
} from '../../ldap/extended-values.ts';
import { parseFilter } from '../../ldap/filter.ts';
import type { Control, LdapResult } from '../../ldap/message.ts';
import { RESULT_CODE } from '../../ldap/result-code.ts';
import { TRUSTED_LIMITS } from './limits.ts';

const BASE = 'dc=example,dc=org';
const accept = Array.from({ length: 130 }, (_, n) => n);
const PERSON = [
  { type: 'objectClass', values: [Buffer.from('person')] },
  { type: 'sn', values: [Buffer.from('x')] },
];

async function start(client: LdapClient): Promise<Buffer> {
  const { operation } = await client.extended(EXTENDED.startTransaction).result;
  return operation.value as Buffer;
}

async function end(
  client: LdapClient,
  identifier: Buffer,
  commit = true,
): Promise<{ result: LdapResult; value: EndTransactionResponse | undefined }> {
  const sent = client.extended(EXTENDED.endTransaction, encodeEndTransactionRequest({ commit, identifier }), {
    accept,
  });
  const { operation } = await sent.result;
  const { result, value } = operation;
  return { result, value: value === undefined ? undefined : decodeEndTransactionResponse(value) };
}

const inside = (identifier: Buffer, ...more: Control[]): { controls: Control[]; accept: number[] } => ({
  controls: [{ oid: CONTROL.transactionSpecification, critical: true, value: identifier }, ...more],
  accept,
});

async function names(client: LdapClient): Promise<string[]> {
  const { entries } = await ask(client, { filter: parseFilter('(objectClass=person)'), attributes: ['1.1'] });
  return Object.keys(entries)
    .map((dn) => dn.split(',')[0] as string)
    .sort();
}

describe('transactions', () => {
  it('are invisible until committed, then there at once', async () => {
    await using served = await serveDirectory();
    const [writer, reader] = [await served.client(), await served.client()];
    const identifier = await start(writer);
    for (const cn of ['a', 'b', 'c']) {
      const { operation } = await writer.add(`cn=${cn},${BASE}`, PERSON, inside(identifier)).result;
      expect(operation.result.code).toBe(0);
    }
    await writer.delete(`cn=b,${BASE}`, inside(identifier)).result;
    expect(await names(reader)).toEqual([]);
    expect(await names(writer)).toEqual([]);
    let groups = 0;
    served.directory.onChange(() => groups++);
    expect((await end(writer, identifier)).result.code).toBe(0);
    expect(await names(reader)).toEqual(['cn=a', 'cn=c']);
    expect(groups).toBe(1);
  });

  it('share their memory, and give it back however they end', async () => {
    await using served = await serveDirectory();
    const budget = served.server.transactionBudget;
    const description = (size: number) => ({ type: 'description', values: [Buffer.alloc(size, 'x')] });
    const gather = async (
      client: LdapClient,
      identifier: Buffer,
      cn: string,
      size: number,
    ): Promise<number> => {
      const entry = [...PERSON, description(size)];
      return (await client.add(`cn=${cn},${BASE}`, entry, inside(identifier)).result).operation.result.code;
    };
    const clients = await Promise.all(Array.from({ length: 5 }, () => served.client()));
    const open = await Promise.all(clients.map(start));
    const codes: number[] = [];
    for (let n = 0; n < 4; n++) {
      for (const [i, client] of clients.entries())
        codes.push(await gather(client, open[i] as Buffer, `c${i}n${n}`, 7_000_000));
    }
    // Five times 28 MB are more than all may have together, though none has more than its own.
    expect(new Set(codes)).toEqual(new Set([0, RESULT_CODE.adminLimitExceeded]));
    expect(budget.used).toBeGreaterThan(80 << 20);
    const [committed, aborted, bound, closed] = clients as [LdapClient, LdapClient, LdapClient, LdapClient];
    await end(committed, open[0] as Buffer);
    await end(aborted, open[1] as Buffer, false);
    await bound.bind('', new Secret(''));
    closed.destroy();
    clients[4]?.destroy();
    await until(
      'all memory given back',
      () => budget.used,
      (used) => used === 0,
    );
  });

  it('an abort leaves nothing', async () => {
    await using served = await serveDirectory();
    const client = await served.client();
    const identifier = await start(client);
    await client.add(`cn=a,${BASE}`, PERSON, inside(identifier)).result;
    expect(await end(client, identifier, false)).toMatchObject({ result: { code: 0 }, value: undefined });
    expect(await names(client)).toEqual([]);
    expect((await end(client, identifier)).result.code).toBe(RESULT_CODE.operationsError);
  });

  it('a failing update undoes all of them, and the answer names it', async () => {
    await using served = await serveDirectory({
      entries: [
        addition(BASE, { objectClass: ['domain'] }),
        addition(`ou=x,${BASE}`, { objectClass: ['organizationalUnit'] }),
        addition(`cn=old,ou=x,${BASE}`, { objectClass: ['person'], sn: ['s'], description: ['d'] }),
      ],
    });
    const client = await served.client();
    const all = { filter: parseFilter('(objectClass=*)'), attributes: ['*', '+'] };
    const before = await ask(client, all);
    const identifier = await start(client);
    const change = { kind: 'replace' as const, attribute: { type: 'sn', values: [Buffer.from('new')] } };
    await client.add(`cn=a,${BASE}`, PERSON, inside(identifier)).result;
    await client.modify(`cn=old,ou=x,${BASE}`, [change], inside(identifier)).result;
    await client.modifyDn(`ou=x,${BASE}`, { newRdn: 'ou=y', deleteOldRdn: true }, inside(identifier)).result;
    await client.delete(`cn=old,ou=y,${BASE}`, inside(identifier)).result;
    const bad = client.add(`cn=b,ou=missing,${BASE}`, PERSON, inside(identifier));
    await bad.result;
    const outcome = await end(client, identifier);
    expect(outcome.result.code).toBe(RESULT_CODE.noSuchObject);
    expect(outcome.value?.failedMessageId).toBe(bad.messageId);
    expect(await ask(client, all)).toEqual(before);
    // The indexes were put back too.
    for (const filter of ['(sn=s)', '(sn=new)', '(cn=old)', '(cn=a)', '(ou=x)', '(ou=y)']) {
      const found = await ask(client, { filter: parseFilter(filter), attributes: ['1.1'] });
      expect([filter, Object.keys(found.entries).length]).toEqual([filter, /x|=s|old/.test(filter) ? 1 : 0]);
    }
    await client.add(`cn=a,${BASE}`, PERSON).result;
  });

  it('answers controls of its updates with the end', async () => {
    await using served = await serveDirectory();
    const client = await served.client();
    const identifier = await start(client);
    const read: Control = { oid: CONTROL.postRead, critical: true, value: encodeReadRequest(['sn']) };
    const sent = client.add(`cn=a,${BASE}`, PERSON, inside(identifier, read));
    expect((await sent.result).controls).toEqual([]);
    const { value } = await end(client, identifier);
    expect(value?.updatesControls).toHaveLength(1);
    expect(value?.updatesControls[0]?.messageId).toBe(sent.messageId);
    expect(decodeReadResult(value?.updatesControls[0]?.controls[0]?.value).dn).toBe(`cn=a,${BASE}`);
  });

  it('there are two at a time, and others are unknown', async () => {
    await using served = await serveDirectory();
    const client = await served.client();
    const identifier = await start(client);
    await start(client);
    const third = await client.extended(EXTENDED.startTransaction, undefined, { accept }).result;
    expect(third.operation.result.code).toBe(RESULT_CODE.busy);
    const other = await client.add(`cn=a,${BASE}`, PERSON, inside(Buffer.from('no'))).result;
    expect(other.operation.result.code).toBe(RESULT_CODE.operationsError);
    expect((await end(client, Buffer.from('no'))).result.code).toBe(RESULT_CODE.operationsError);
    const search = await client.search(
      { base: BASE },
      { controls: [{ oid: CONTROL.transactionSpecification, critical: true, value: identifier }], accept },
    ).done;
    expect(search.operation.result.code).toBe(RESULT_CODE.unavailableCriticalExtension);
    expect((await end(client, identifier)).result.code).toBe(0);
  });

  it('updates belong to the one they name, whichever ends first', async () => {
    await using served = await serveDirectory();
    const client = await served.client();
    const [first, second] = [await start(client), await start(client)];
    for (const [cn, identifier] of [
      ['a', first],
      ['b', second],
      ['c', first],
    ] as const)
      await client.add(`cn=${cn},${BASE}`, PERSON, inside(identifier)).result;
    expect((await end(client, second)).result.code).toBe(0);
    expect(await names(client)).toEqual(['cn=b']);
    await start(client);
    expect((await end(client, first)).result.code).toBe(0);
    expect((await names(client)).sort()).toEqual(['cn=a', 'cn=b', 'cn=c']);
  });

  it('ends by a bind, and with the connection', async () => {
    await using served = await serveDirectory();
    const client = await served.client();
    const identifier = await start(client);
    await client.add(`cn=a,${BASE}`, PERSON, inside(identifier)).result;
    const { Secret } = await import('../../base/secret.ts');
    await client.bind('cn=admin,dc=example,dc=org', new Secret('administrator'));
    expect((await end(client, identifier)).result.code).toBe(RESULT_CODE.operationsError);
    const second = await start(client);
    await client.add(`cn=a,${BASE}`, PERSON, inside(second)).result;
    client.destroy();
    expect(await names(await served.client())).toEqual([]);
  });

  it('is bounded in updates: the transaction is given up with a notice', async () => {
    const limited = { ...TRUSTED_LIMITS, transactionUpdates: 3 };
    await using served: ServedDirectory = await serveDirectory({ server: { limits: () => limited } });
    const client = await served.client();
    const identifier = await start(client);
    const codes: number[] = [];
    for (const cn of ['a', 'b', 'c', 'd', 'e']) {
      const { operation } = await client.add(`cn=${cn},${BASE}`, PERSON, inside(identifier)).result;
      codes.push(operation.result.code);
    }
    expect(codes).toEqual([0, 0, 0, RESULT_CODE.adminLimitExceeded, RESULT_CODE.operationsError]);
    expect(await names(client)).toEqual([]);
  });

  it('asks beforeCommit once, which may refuse or change the updates', async () => {
    const seen: string[][] = [];
    await using served = await serveDirectory({
      hooks: {
        authenticate: () => ({ identity: { role: 'administrator', authorizationId: 'u:a', dn: 'cn=a' } }),
        beforeCommit(_session, updates, inTransaction) {
          seen.push([String(inTransaction), ...updates.map((u) => u.request.op)]);
          if (updates.some((u) => u.request.dn.startsWith('cn=refused'))) {
            return { code: RESULT_CODE.unwillingToPerform, matchedDn: '', diagnostic: 'lease.lost' };
          }
          // A guard: deletions become marks.
          return updates.map((update) =>
            update.request.op !== 'deleteRequest'
              ? update
              : {
                  ...update,
                  request: {
                    op: 'modifyRequest' as const,
                    dn: update.request.dn,
                    changes: [
                      {
                        kind: 'add' as const,
                        attribute: { type: 'description', values: [Buffer.from('gone')] },
                      },
                    ],
                  },
                },
          );
        },
      },
    });
    const client = await served.client();
    let identifier = await start(client);
    await client.add(`cn=a,${BASE}`, PERSON, inside(identifier)).result;
    await client.delete(`cn=a,${BASE}`, inside(identifier)).result;
    expect((await end(client, identifier)).result.code).toBe(0);
    expect(served.directory.readEntry(`cn=a,${BASE}`)?.text('description')).toBe('gone');
    identifier = await start(client);
    await client.add(`cn=b,${BASE}`, PERSON, inside(identifier)).result;
    await client.add(`cn=refused,${BASE}`, PERSON, inside(identifier)).result;
    expect((await end(client, identifier)).result).toMatchObject({ code: 53, diagnostic: 'lease.lost' });
    expect(await names(client)).toEqual(['cn=a']);
    expect(seen).toEqual([
      ['true', 'addRequest', 'deleteRequest'],
      ['true', 'addRequest', 'addRequest'],
    ]);
  });

  it('idempotent adds and deletes: what is there is replaced, what is missing is gone already', async () => {
    await using served = await serveDirectory();
    const client = await served.client();
    const idempotent: Control = { oid: CONTROL.idempotent, critical: true };
    await client.add(`cn=a,${BASE}`, [...PERSON, { type: 'description', values: [Buffer.from('old')] }])
      .result;
    const first = served.directory.readEntry(`cn=a,${BASE}`);
    await client.add(`CN=A,${BASE}`, PERSON, { controls: [idempotent] }).result;
    const second = served.directory.readEntry(`cn=a,${BASE}`);
    expect(second?.texts('description')).toEqual([]);
    expect(second?.uuid).toEqual(first?.uuid);
    expect(second?.createdAt).toBe(first?.createdAt);
    await client.delete(`cn=a,${BASE}`, { controls: [idempotent] }).result;
    await client.delete(`cn=a,${BASE}`, { controls: [idempotent] }).result;
    const modify = await client.modify(`cn=a,${BASE}`, [], { controls: [idempotent], accept }).result;
    expect(modify.operation.result.code).toBe(RESULT_CODE.unavailableCriticalExtension);
  });
});
