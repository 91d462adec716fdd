/** RFC 5805 §3.5 and §4: what may stand in a transaction, what ends it, and how far its answers reach. */
import { describe, expect, it } from 'vitest';
import { FakeClock } from '../../../test/fakes/clock.ts';
import { critical, found, optional, outcome, textsOf } from '../../../test/support/directory-answers.ts';
import { accept, BASE, bind, raw } from '../../../test/support/directory-requests.ts';
import { addition, ADMINISTRATOR, serveDirectory } from '../../../test/support/served-directory.ts';
import { runTool } from '../../../test/support/slapd.ts';
import { until } from '../../../test/support/until.ts';
import type { LdapClient } from '../../ldap/client.ts';
import { CONTROL, EXTENDED } from '../../ldap/control.ts';
import { decodeReadResult, encodeAssertion, encodeReadRequest } from '../../ldap/control-values.ts';
import {
  decodeEndTransactionResponse,
  type EndTransactionResponse,
  encodeEndTransactionRequest,
} from '../../ldap/extended-values.ts';
import { parseFilter } from '../../ldap/filter.ts';
import type { Control, Message, Operation } from '../../ldap/message.ts';
import { RESULT_CODE, resultName } from '../../ldap/result-code.ts';
import { TRUSTED_LIMITS } from './limits.ts';

const A = `cn=a,${BASE}`;
const entries = [
  addition(BASE, { objectClass: ['domain'] }),
  addition(A, { objectClass: ['person'], sn: ['s'], description: ['d'] }),
  addition(`ou=u,${BASE}`, { objectClass: ['organizationalUnit'] }),
  addition(`cn=b,ou=u,${BASE}`, { objectClass: ['person'], sn: ['s'] }),
];
const text = (type: string, ...values: string[]) => ({ type, values: values.map((v) => Buffer.from(v)) });
const PERSON = [text('objectClass', 'person'), text('sn', 's')];
const setSn = (value: string) => [{ kind: 'replace' as const, attribute: text('sn', value) }];

async function start(client: LdapClient): Promise<Buffer> {
  const { operation } = await client.extended(EXTENDED.startTransaction).result;
  return Buffer.from(operation.value ?? '');
}

async function end(
  client: LdapClient,
  identifier: Buffer,
): Promise<{ result: string; value: EndTransactionResponse | undefined }> {
  const value = encodeEndTransactionRequest({ commit: true, identifier });
  const { operation } = await client.extended(EXTENDED.endTransaction, value, { accept }).result;
  return {
    result: resultName(operation.result.code),
    value: operation.value === undefined ? undefined : decodeEndTransactionResponse(operation.value),
  };
}

const inside = (identifier: Buffer, ...more: Control[]) => ({
  controls: [critical(CONTROL.transactionSpecification, identifier), ...more],
  accept,
});

describe('controls of updates in a transaction', () => {
  it('assertions are judged at the end, in turn, and undo everything when false', async () => {
    await using served = await serveDirectory({ entries });
    const client = await served.client();
    const asserting = (filter: string): Control =>
      critical(CONTROL.assertion, encodeAssertion(parseFilter(filter)));
    let identifier = await start(client);
    await client.modify(A, setSn('new'), inside(identifier)).result;
    // True only of what the update before it made.
    await client.modify(A, setSn('newer'), inside(identifier, asserting('(sn=new)'))).result;
    expect(await end(client, identifier)).toEqual({ result: 'success', value: undefined });
    identifier = await start(client);
    await client.modify(A, setSn('newest'), inside(identifier)).result;
    const bad = client.delete(`cn=b,ou=u,${BASE}`, inside(identifier, asserting('(sn=other)')));
    await bad.result;
    await client.add(`cn=c,${BASE}`, PERSON, inside(identifier)).result;
    expect(await end(client, identifier)).toEqual({
      result: 'assertionFailed',
      value: { failedMessageId: bad.messageId, updatesControls: [] },
    });
    expect(served.directory.readEntry(A)?.text('sn')).toBe('newer');
  });

  it('pre- and post-reads show what each update found and left, in the answer to the end', async () => {
    await using served = await serveDirectory({ entries });
    const client = await served.client();
    const pre = critical(CONTROL.preRead, encodeReadRequest(['sn']));
    const post = critical(CONTROL.postRead, encodeReadRequest(['sn']));
    const identifier = await start(client);
    const sent = [
      client.modify(A, setSn('1'), inside(identifier, pre, post)),
      client.modifyDn(A, { newRdn: 'cn=z', deleteOldRdn: true }, inside(identifier, pre, post)),
      client.modify(`cn=z,${BASE}`, setSn('2'), inside(identifier)),
      client.delete(`cn=z,${BASE}`, inside(identifier, pre)),
      client.add(A, PERSON, inside(identifier, post)),
    ];
    for (const one of sent) expect((await one.result).controls).toEqual([]);
    const { value } = await end(client, identifier);
    const answers = value?.updatesControls.map(({ messageId, controls }) => [
      sent.findIndex((one) => one.messageId === messageId),
      ...controls.map((control) => {
        const { dn, attributes } = decodeReadResult(control.value);
        return `${control.oid === CONTROL.preRead ? 'was' : 'is'} ${dn.split(',')[0]} ${textsOf(attributes)['sn']?.join()}`;
      }),
    ]);
    expect(answers).toEqual([
      [0, 'was cn=a s', 'is cn=a 1'],
      [1, 'was cn=a 1', 'is cn=z 1'],
      [3, 'was cn=z 2'],
      [4, 'is cn=a s'],
    ]);
  });

  it('tree deletes, ManageDsaIT and idempotence stand in them; others are refused and leave it open', async () => {
    await using served = await serveDirectory({ entries });
    const client = await served.client();
    const identifier = await start(client);
    const add = (cn: string, ...more: Control[]) =>
      client.add(`cn=${cn},${BASE}`, PERSON, inside(identifier, ...more));
    expect(await outcome(add('x', critical('1.2.3.4')))).toMatch(/^unavailableCriticalExtension/);
    expect(await outcome(add('x', critical(CONTROL.pagedResults, Buffer.alloc(0))))).toMatch(/^unavail/);
    expect(await outcome(add('x', critical(CONTROL.proxiedAuthorization, Buffer.alloc(0))))).toMatch(/^unav/);
    expect(await outcome(add('x', critical(CONTROL.transactionSpecification, identifier)))).toMatch(
      /^protocolError.*twice/,
    );
    expect(await outcome(client.compare(A, 'sn', Buffer.from('s'), inside(identifier)))).toMatch(/^unavail/);
    expect(await outcome(client.extended(EXTENDED.whoAmI, undefined, inside(identifier)))).toMatch(
      /^unavail/,
    );
    expect(await outcome(add('y', critical(CONTROL.manageDsaIT)))).toBe('success');
    expect(await outcome(add('y', critical(CONTROL.idempotent)))).toBe('success');
    const tree = inside(identifier, critical(CONTROL.treeDelete));
    expect(await outcome(client.delete(`ou=u,${BASE}`, tree))).toBe('success');
    expect(served.directory.stats.entries).toBe(4);
    expect(await end(client, identifier)).toEqual({ result: 'success', value: undefined });
    const left = await found(client, { base: BASE, attributes: ['1.1'] });
    expect([...left.names].sort()).toEqual([A, `cn=y,${BASE}`, BASE]);
  });

  it('start and end take no controls that change their meaning', async () => {
    await using served = await serveDirectory({ entries });
    const client = await served.client();
    const identifier = await start(client);
    for (const oid of [CONTROL.assertion, CONTROL.manageDsaIT, CONTROL.preRead, CONTROL.postRead]) {
      const options = { controls: [critical(oid, encodeAssertion(parseFilter('(&)')))], accept };
      const value = encodeEndTransactionRequest({ commit: true, identifier });
      for (const [operation, octets] of [
        [EXTENDED.startTransaction, undefined],
        [EXTENDED.endTransaction, value],
      ] as const)
        expect(await outcome(client.extended(operation, octets, options))).toMatch(
          /^unavailableCriticalExtension/,
        );
    }
    const spoilt = client.extended(EXTENDED.endTransaction, Buffer.from('x'), { accept });
    expect(await outcome(spoilt)).toMatch(/^protocolError/);
    expect(await outcome(client.extended(EXTENDED.startTransaction, Buffer.from('x'), { accept }))).toMatch(
      /^protocolError/,
    );
    expect((await end(client, identifier)).result).toBe('success');
  });

  it('as ldapmodify asks, with its own transaction', async () => {
    await using served = await serveDirectory({ entries });
    const login = ['-x', '-D', ADMINISTRATOR.dn, '-w', ADMINISTRATOR.password, '-H', served.url];
    const change = (dn: string) => `dn: ${dn}\nchangetype: modify\nreplace: sn\nsn: changed\n\n`;
    await runTool('ldapmodify', [...login, '-E', 'txn=commit'], {
      input: change(A) + change(`cn=b,ou=u,${BASE}`),
    });
    expect(served.directory.readEntry(A)?.text('sn')).toBe('changed');
    const addition_ = `dn: cn=new,${BASE}\nchangetype: add\nobjectClass: person\nsn: x\n\n`;
    await runTool('ldapmodify', [...login, '-E', 'txn=abort'], { input: addition_ });
    expect(served.directory.resolve(`cn=new,${BASE}`)).toBe(0);
  });
});

describe('message ids and notices', () => {
  const update = (cn: string): Operation => ({
    op: 'addRequest',
    dn: `cn=${cn},${BASE}`,
    attributes: PERSON,
  });
  const codes = (messages: readonly Message[]): string[] =>
    messages.flatMap(({ messageId, operation }) =>
      'result' in operation ? [`${messageId} ${resultName(operation.result.code)}`] : [],
    );

  const opened = async (served: Awaited<ReturnType<typeof serveDirectory>>) => {
    const connection = await raw(served);
    await connection.send(1, bind(ADMINISTRATOR.dn, ADMINISTRATOR.password));
    await connection.send(2, { op: 'extendedRequest', oid: EXTENDED.startTransaction });
    const answer = (await connection.until((m) => m.length === 2))[1]?.operation;
    const identifier = Buffer.from((answer?.op === 'extendedResponse' ? answer.value : undefined) ?? '');
    return { connection, identifier, ...inside(identifier) };
  };

  it('an id names one update: a second one with it is refused, and the transaction goes on', async () => {
    await using served = await serveDirectory({ entries });
    const { connection, controls, identifier } = await opened(served);
    for (const [id, cn] of [
      [5, 'x'],
      [3, 'y'],
      [5, 'z'],
      [3, 'z'],
      [4, 'z'],
    ] as const)
      await connection.send(id, update(cn), controls);
    const value = encodeEndTransactionRequest({ commit: true, identifier });
    await connection.send(9, { op: 'extendedRequest', oid: EXTENDED.endTransaction, value });
    const messages = await connection.until((m) => m.some(({ messageId }) => messageId === 9));
    expect(codes(messages).slice(2)).toEqual([
      '5 success',
      '3 success',
      '5 protocolError',
      '3 protocolError',
      '4 success',
      '9 success',
    ]);
    expect(served.directory.stats.entries).toBe(7);
    connection.socket.destroy();
  });

  it('too many updates: refused, given up, and said so; its identifier means nothing any more', async () => {
    const limits = { ...TRUSTED_LIMITS, transactionUpdates: 1 };
    await using served = await serveDirectory({ entries, server: { limits: () => limits } });
    const { connection, controls, identifier } = await opened(served);
    for (const id of [3, 4, 5]) await connection.send(id, update(`n${id}`), controls);
    const messages = await connection.until((m) => m.some(({ messageId }) => messageId === 5));
    expect(codes(messages).slice(2)).toEqual([
      '3 success',
      '4 adminLimitExceeded',
      '0 adminLimitExceeded',
      '5 operationsError',
    ]);
    expect(messages[4]?.operation).toMatchObject({
      op: 'extendedResponse',
      oid: EXTENDED.abortedTransactionNotice,
      value: identifier,
    });
    connection.socket.destroy();
  });

  it('open for too long: given up, and said so; one that was settled in time is not', async () => {
    const clock = new FakeClock();
    await using served = await serveDirectory({ entries, directory: { clock } });
    const settled = await opened(served);
    const value = encodeEndTransactionRequest({ commit: true, identifier: settled.identifier });
    await settled.connection.send(3, update('before'), settled.controls);
    await settled.connection.send(4, { op: 'extendedRequest', oid: EXTENDED.endTransaction, value });
    await settled.connection.until((m) => m.some(({ messageId }) => messageId === 4));
    const { connection, controls, identifier } = await opened(served);
    await connection.send(3, update('x'), controls);
    await connection.until((m) => m.length === 3);
    await clock.advance(TRUSTED_LIMITS.transactionMs - 1);
    await connection.send(4, update('y'), controls);
    await connection.until((m) => m.length === 4);
    await clock.advance(1);
    await connection.until((m) => m.length === 5);
    expect(served.server.transactionBudget.used).toBe(0);
    await connection.send(5, update('z'), controls);
    const messages = await connection.until((m) => m.length === 6);
    expect(codes(messages).slice(2)).toEqual([
      '3 success',
      '4 success',
      '0 adminLimitExceeded',
      '5 operationsError',
    ]);
    expect(messages[4]?.operation).toMatchObject({
      oid: EXTENDED.abortedTransactionNotice,
      value: identifier,
      result: { diagnostic: 'a transaction may be open for 600 s' },
    });
    expect(codes(settled.connection.messages).slice(2)).toEqual(['3 success', '4 success']);
    expect(served.directory.stats.entries).toBe(5);
    connection.socket.destroy();
    settled.connection.socket.destroy();
  });

  it('a bind ends all of them without notice (§3.5), and so does leaving', async () => {
    await using served = await serveDirectory({ entries });
    const { connection, controls } = await opened(served);
    await connection.send(3, update('x'), controls);
    await connection.send(4, bind(ADMINISTRATOR.dn, ADMINISTRATOR.password));
    await connection.send(5, update('y'), controls);
    const messages = await connection.until((m) => m.some(({ messageId }) => messageId === 5));
    expect(codes(messages).slice(2)).toEqual(['3 success', '4 success', '5 operationsError']);
    const second = await opened(served);
    await second.connection.send(3, update('x'), second.controls);
    await second.connection.until((m) => m.length === 3);
    expect(served.server.transactionBudget.used).toBeGreaterThan(0);
    await second.connection.send(4, { op: 'unbindRequest' });
    await second.connection.closed;
    await until(
      'memory given back',
      () => served.server.transactionBudget.used,
      (used) => used === 0,
    );
    expect(served.directory.stats.entries).toBe(4);
    connection.socket.destroy();
  });

  it('the specification counts, critical or not; without a value it names none', async () => {
    await using served = await serveDirectory({ entries });
    const client = await served.client();
    const identifier = await start(client);
    const optionally = { controls: [optional(CONTROL.transactionSpecification, identifier)], accept };
    expect(await outcome(client.add(`cn=x,${BASE}`, PERSON, optionally))).toBe('success');
    expect(served.directory.stats.entries).toBe(4);
    const empty = { controls: [critical(CONTROL.transactionSpecification)], accept };
    expect(await outcome(client.add(`cn=y,${BASE}`, PERSON, empty))).toMatch(/^operationsError/);
    const other = await served.client();
    const foreign = other.add(`cn=y,${BASE}`, PERSON, inside(identifier));
    expect((await foreign.result).operation.result.code).toBe(RESULT_CODE.operationsError);
    expect((await end(client, identifier)).result).toBe('success');
    expect(served.directory.stats.entries).toBe(5);
  });
});
