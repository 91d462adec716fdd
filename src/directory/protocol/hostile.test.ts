/** Those who don't speak LDAP, or speak it badly, and owners who have had enough of somebody. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BASE, bind, codes, many, raw, search } from '../../../test/support/directory-requests.ts';
import { ADMINISTRATOR, serveDirectory } from '../../../test/support/served-directory.ts';
import type { RawConnection } from '../../../test/support/raw-connection.ts';
import { systemClock, yieldToLoop } from '../../base/clock.ts';
import { CONTROL, EXTENDED } from '../../ldap/control.ts';
import { encodeAssertion, encodeReadRequest, encodeSortRequest } from '../../ldap/control-values.ts';
import { encodeBytes } from '../../ldap/encode.ts';
import { encodeCancelRequest, encodePasswordModifyRequest } from '../../ldap/extended-values.ts';
import { parseFilter } from '../../ldap/filter.ts';
import type { SearchRequest } from '../../ldap/message.ts';
import { RESULT_CODE } from '../../ldap/result-code.ts';
import { READER_LIMITS } from './limits.ts';
import { encodeSyncRequest } from '../../ldap/sync-values.ts';
import { SUCCESS } from '../directory.ts';

describe('hostile clients', () => {
  it.each([
    ['not LDAP at all', Buffer.from('GET / HTTP/1.0\r\n\r\n')],
    [
      'a response instead of a request',
      encodeBytes({
        messageId: 1,
        operation: { op: 'searchResultDone', result: { code: 0, matchedDn: '', diagnostic: '' } },
        controls: [],
      }),
    ],
    ['message id 0', encodeBytes({ messageId: 0, operation: search(), controls: [] })],
    ['an unknown operation', Buffer.from('300702010147020000', 'hex')],
    ['an oversized message', Buffer.from('308401000000', 'hex')],
    ['an indefinite length', Buffer.from('3080', 'hex')],
  ])('%s gets a notice of disconnection', async (_name, bytes) => {
    await using served = await serveDirectory();
    const connection = await raw(served);
    await connection.write(bytes);
    const messages = await connection.until((m) => m.length >= 1);
    expect(messages[0]).toMatchObject({
      messageId: 0,
      operation: { oid: EXTENDED.noticeOfDisconnection, result: { code: RESULT_CODE.protocolError } },
    });
    await connection.closed;
  });

  it.each([
    [
      'a filter nested too deeply',
      encodeBytes({ messageId: 9, operation: search({ filter: nested(200) }), controls: [] }),
    ],
    ['a modify whose body is garbage', Buffer.from('300702010966020404', 'hex')],
    [
      'a search whose scope is 7',
      encodeBytes({ messageId: 9, operation: { ...search(), scope: 'base' }, controls: [] }).map(
        (b, i, all) => (all[i - 2] === 0x0a && all[i - 1] === 1 && b === 0 && i < 40 ? 7 : b),
      ),
    ],
  ])('%s gets protocolError and may go on', async (_name, bytes) => {
    await using served = await serveDirectory();
    const connection = await raw(served);
    await connection.write(bytes);
    const [message] = await connection.until((m) => m.length === 1);
    expect(message).toMatchObject({
      messageId: 9,
      operation: { result: { code: RESULT_CODE.protocolError } },
    });
    await connection.send(10, bind('', ''));
    expect(codes(await connection.until((m) => m.length === 2))[1]).toBe(0);
    connection.socket.destroy();
  });

  it('a bind that is no LDAP leaves nobody; an unbind that is none ends the connection all the same', async () => {
    await using served = await serveDirectory();
    const connection = await raw(served);
    await connection.send(1, bind(ADMINISTRATOR.dn, ADMINISTRATOR.password));
    const whoAmI = { op: 'extendedRequest', oid: EXTENDED.whoAmI } as const;
    await connection.send(2, whoAmI);
    // A version and a name, and an authentication that RFC 4511 does not know; one that is none at all.
    await connection.write(Buffer.from('300c020103600702010304008100', 'hex'));
    await connection.send(4, bind(ADMINISTRATOR.dn, ADMINISTRATOR.password));
    await connection.write(Buffer.from('300c020105600702010304000400', 'hex'));
    await connection.send(6, whoAmI);
    const messages = await connection.until((m) => m.length === 6);
    const { authMethodNotSupported, protocolError } = RESULT_CODE;
    expect(codes(messages)).toEqual([0, 0, authMethodNotSupported, 0, protocolError, 0]);
    const who = messages.flatMap(({ operation }) =>
      operation.op === 'extendedResponse' ? [String(operation.value)] : [],
    );
    expect(who).toEqual([`dn:${ADMINISTRATOR.dn}`, '']);
    await connection.write(Buffer.from('300602010742010a', 'hex'));
    await connection.closed;
    expect(connection.messages).toHaveLength(6);
  });

  it('who is sent away is told why: the server stops, the owner has had enough', async () => {
    const served = await serveDirectory();
    const [first, second] = [await raw(served), await raw(served)];
    for (const connection of [first, second]) {
      await connection.send(1, bind('', ''));
      await connection.until((m) => m.length === 1);
    }
    const notice = { oid: EXTENDED.noticeOfDisconnection, result: { code: RESULT_CODE.unavailable } };
    const [session] = served.directory.sessions;
    session?.terminate();
    expect((await first.until((m) => m.length === 2))[1]).toMatchObject({ messageId: 0, operation: notice });
    await first.closed;
    const stopped = served[Symbol.asyncDispose]();
    expect((await second.until((m) => m.length === 2))[1]).toMatchObject({ messageId: 0, operation: notice });
    await second.closed;
    await stopped;
  });

  it('survives any bytes, and serves others meanwhile', async () => {
    await using served = await serveDirectory({
      entries: many(5),
      hooks: {
        authenticate: ({ name }) => ({
          identity: { role: 'administrator', authorizationId: `dn:${name}`, dn: name },
        }),
        changePassword: () => ({ result: SUCCESS }),
      },
      server: { initialIdentity: () => ({ role: 'administrator', authorizationId: '', dn: '' }) },
    });
    const client = await served.client();
    const valid = [
      encodeBytes({
        messageId: 1,
        operation: search({ filter: parseFilter('(&(cn=p1)(!(sn=a*b*c))(name:dn:2.5.13.2:=x))') }),
        controls: [],
      }),
      encodeBytes({ messageId: 2, operation: search({ filter: parseFilter('(cn=p1)') }), controls: [] }),
      encodeBytes({
        messageId: 3,
        operation: {
          op: 'modifyRequest',
          dn: `cn=p1,${BASE}`,
          changes: [{ kind: 'add', attribute: { type: 'description', values: [Buffer.from('d')] } }],
        },
        controls: [],
      }),
      encodeBytes({
        messageId: 4,
        operation: { op: 'modifyDnRequest', dn: `cn=p2,${BASE}`, newRdn: 'cn=q', deleteOldRdn: true },
        controls: [],
      }),
      encodeBytes({
        messageId: 5,
        operation: { op: 'extendedRequest', oid: EXTENDED.endTransaction, value: Buffer.from('3000', 'hex') },
        controls: [],
      }),
      encodeBytes({
        messageId: 6,
        operation: search(),
        controls: [
          { oid: CONTROL.pagedResults, critical: true, value: Buffer.from('30060201050401ff', 'hex') },
        ],
      }),
      ...[
        { oid: CONTROL.sortRequest, value: encodeSortRequest([{ attribute: 'sn', reverse: true }]) },
        { oid: CONTROL.assertion, value: encodeAssertion(parseFilter('(&(sn=s)(cn:dn:=x))')) },
        { oid: CONTROL.syncRequest, value: encodeSyncRequest({ mode: 'refreshOnly', reloadHint: false }) },
      ].map((control, n) =>
        encodeBytes({ messageId: 7 + n, operation: search(), controls: [{ ...control, critical: true }] }),
      ),
      encodeBytes({
        messageId: 10,
        operation: { op: 'deleteRequest', dn: `cn=p3,${BASE}` },
        controls: [
          { oid: CONTROL.treeDelete, critical: true },
          { oid: CONTROL.preRead, critical: true, value: encodeReadRequest(['@person', '+']) },
          { oid: CONTROL.transactionSpecification, critical: true, value: Buffer.alloc(4) },
        ],
      }),
      encodeBytes({
        messageId: 11,
        operation: {
          op: 'extendedRequest',
          oid: EXTENDED.passwordModify,
          value: encodePasswordModifyRequest({ userIdentity: 'cn=x', newPassword: Buffer.from('y') }),
        },
        controls: [],
      }),
      encodeBytes({
        messageId: 12,
        operation: { op: 'extendedRequest', oid: EXTENDED.cancel, value: encodeCancelRequest(6) },
        controls: [],
      }),
    ];
    const mutated = fc
      .tuple(
        fc.constantFrom(...valid),
        fc.array(fc.tuple(fc.nat(400), fc.nat(255)), { minLength: 1, maxLength: 4 }),
      )
      .map(([bytes, flips]) => {
        const copy = Buffer.from(bytes);
        for (const [at, value] of flips) copy[at % copy.length] = value;
        return copy;
      });
    await fc.assert(
      fc.asyncProperty(fc.array(mutated, { minLength: 1, maxLength: 8 }), async (messages) => {
        const connection = await raw(served);
        await connection.write(Buffer.concat(messages));
        connection.socket.end();
        await connection.closed;
        expect(await client.whoAmI()).toBe(`dn:${ADMINISTRATOR.dn}`);
      }),
      { numRuns: 250 },
    );
    for (const session of served.directory.sessions) expect(session.ended).toBe(false);
    expect(served.directory.sessions.size).toBe(1);
    // What they had is free again.
    expect(served.server.sortBudget.used + served.server.transactionBudget.used).toBe(0);
    expect((await served.directory.verify()).problems).toEqual([]);
  });

  describe('between two turns of the event loop', () => {
    /** Every look at the clock takes a millisecond, so that a turn has a slice or two. Counts searches begun in each turn. */
    async function counting(people: number) {
      let now = 0;
      let ofThisTurn = 0;
      const perTurn: number[] = [];
      let stopped = false;
      const tick = (): void => {
        if (ofThisTurn > 0) perTurn.push(ofThisTurn);
        ofThisTurn = 0;
        if (!stopped) setImmediate(tick);
      };
      setImmediate(tick);
      const served = await serveDirectory({
        entries: many(people),
        directory: { clock: { ...systemClock, monotonic: () => now++ } },
        hooks: { searchGate: () => void ofThisTurn++ },
        server: {
          initialIdentity: () => ({ role: 'administrator', authorizationId: '', dn: '' }),
          limits: () => ({ ...READER_LIMITS, timeLimitMs: 0 }),
        },
      });
      const stop = (): void => {
        stopped = true;
      };
      return { served, perTurn, stop };
    }
    const answered = async (connections: readonly RawConnection[], each: number): Promise<void> => {
      for (const connection of connections)
        await connection.until(
          (messages) =>
            messages.filter(({ operation }) => operation.op === 'searchResultDone').length === each,
        );
    };

    it('few requests are begun on connections that have long searches under way, and not too many of those', async () => {
      const { served, perTurn, stop } = await counting(1010);
      await using _served = served;
      const scans = Array.from({ length: 60 }, (_, n) =>
        encodeBytes({
          messageId: n + 1,
          operation: search({ filter: parseFilter('(sn=*x*)') }),
          controls: [],
        }),
      );
      const connections = await Promise.all(Array.from({ length: 3 }, () => raw(served)));
      await Promise.all(connections.map((connection) => connection.write(Buffer.concat(scans))));
      await answered(connections, scans.length);
      await yieldToLoop();
      stop();
      expect(perTurn.reduce((sum, n) => sum + n, 0)).toBe(3 * 60);
      // One each at first; then a turn has a slice or two, and a slice takes what one connection may begin.
      expect(Math.max(...perTurn)).toBeLessThanOrEqual(3 + 2 * READER_LIMITS.long);
      for (const { socket } of connections) socket.destroy();
    });
  });

  it('an owner ends the sessions of an identity', async () => {
    await using served = await serveDirectory({
      accounts: { 'cn=other': { password: 'pw', role: 'administrator' } },
    });
    const [first, second] = [
      await served.client(),
      await served.client({ name: 'cn=other', password: 'pw' }),
    ];
    expect(served.directory.terminate((session) => session.identity.dn === 'cn=other')).toBe(1);
    await second.closed;
    expect(await first.whoAmI()).toBe(`dn:${ADMINISTRATOR.dn}`);
  });
});

function nested(depth: number): SearchRequest['filter'] {
  let filter: SearchRequest['filter'] = { kind: 'present', attribute: 'cn' };
  for (let n = 0; n < depth; n++) filter = { kind: 'not', filter };
  return filter;
}
