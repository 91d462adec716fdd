/** Abandon (RFC 4511 §4.11) and Cancel (RFC 3909) of every kind of operation, at every stage, with every result. */
import { describe, expect, it } from 'vitest';
import { outcome } from '../../../test/support/directory-answers.ts';
import { accept, BASE, bind, many, raw, search } from '../../../test/support/directory-requests.ts';
import type { RawConnection } from '../../../test/support/raw-connection.ts';
import {
  addition,
  ADMINISTRATOR,
  type ServedDirectory,
  serveDirectory,
} from '../../../test/support/served-directory.ts';
import { until } from '../../../test/support/until.ts';
import { CONTROL, EXTENDED } from '../../ldap/control.ts';
import { encodeBytes } from '../../ldap/encode.ts';
import { encodeCancelRequest, encodeEndTransactionRequest } from '../../ldap/extended-values.ts';
import type { Control, Message, Operation } from '../../ldap/message.ts';
import { resultName } from '../../ldap/result-code.ts';
import { encodeSyncRequest } from '../../ldap/sync-values.ts';
import { type BeforeCommit, SUCCESS, type Update } from '../directory.ts';

const cancelOf = (messageId: number): Operation => ({
  op: 'extendedRequest',
  oid: EXTENDED.cancel,
  value: encodeCancelRequest(messageId),
});
const add = (cn: string): Operation => ({
  op: 'addRequest',
  dn: `cn=${cn},${BASE}`,
  attributes: [
    { type: 'objectClass', values: [Buffer.from('person')] },
    { type: 'sn', values: [Buffer.from('s')] },
  ],
});
/** "3 canceled" for each answer that ends something, in order. */
const ends = (messages: readonly Message[]): string[] =>
  messages.flatMap(({ messageId, operation }) =>
    'result' in operation ? [`${messageId} ${resultName(operation.result.code)}`] : [],
  );

async function bound(served: ServedDirectory): Promise<RawConnection> {
  const connection = await raw(served);
  await connection.send(1, bind(ADMINISTRATOR.dn, ADMINISTRATOR.password));
  await connection.until((m) => m.length === 1);
  return connection;
}

/** Sends all of it in one piece, so that nothing is answered in between. */
async function together(
  connection: RawConnection,
  requests: readonly (readonly [number, Operation, Control[]?])[],
  last: number,
): Promise<string[]> {
  await connection.write(
    Buffer.concat(
      requests.map(([messageId, operation, controls = []]) =>
        encodeBytes({ messageId, operation, controls }),
      ),
    ),
  );
  const messages = await connection.until((m) => ends(m).some((end) => end.startsWith(`${last} `)));
  return ends(messages).slice(1);
}

/** A directory whose changes wait for a word: `judge` lets the next one through. */
async function hesitant(): Promise<{ served: ServedDirectory; judge: () => void; seen: string[] }> {
  const waiting: (() => void)[] = [];
  const seen: string[] = [];
  const served = await serveDirectory({
    hooks: {
      authenticate: () => ({ identity: { role: 'administrator', authorizationId: 'u:a', dn: 'cn=a' } }),
      beforeCommit: (_session, updates: readonly Update[]) =>
        new Promise<BeforeCommit>((resolve) => {
          seen.push(...updates.map(({ request }) => request.dn));
          waiting.push(() => resolve(updates));
        }),
    },
  });
  return { served, judge: () => waiting.shift()?.(), seen };
}

describe('cancel', () => {
  it('of a running search: that one ends with canceled, before the cancel succeeds', async () => {
    await using served = await serveDirectory({ entries: many(3000) });
    const connection = await bound(served);
    const got = await together(
      connection,
      [
        [2, search()],
        [3, search()],
        [4, cancelOf(3)],
        [5, cancelOf(3)],
      ],
      2,
    );
    expect(got.filter((end) => !end.startsWith('2'))).toEqual([
      '3 canceled',
      '4 success',
      '5 noSuchOperation',
    ]);
    connection.socket.destroy();
  });

  it('of a persistent search', async () => {
    await using served = await serveDirectory();
    const connection = await bound(served);
    const value = encodeSyncRequest({ mode: 'refreshAndPersist', reloadHint: false });
    await connection.send(2, search(), [{ oid: CONTROL.syncRequest, critical: true, value }]);
    await connection.until((m) => m.some(({ operation }) => operation.op === 'intermediateResponse'));
    const got = await together(connection, [[3, cancelOf(2)]], 3);
    expect(got).toEqual(['2 canceled', '3 success']);
    // Nothing of it comes any more.
    const before = connection.messages.length;
    await served.directory.apply([addition(`cn=new,${BASE}`, { objectClass: ['person'], sn: ['x'] })]);
    await connection.send(4, { op: 'extendedRequest', oid: EXTENDED.whoAmI });
    expect(await connection.until((m) => m.at(-1)?.messageId === 4)).toHaveLength(before + 1);
    connection.socket.destroy();
  });

  it('of an update that waits: it never happens; of one that is carried out: too late', async () => {
    const { served, judge, seen } = await hesitant();
    await using _ = served;
    const connection = await bound(served);
    const got = await together(
      connection,
      [
        [2, add('first')],
        [3, add('second')],
        [4, add('third')],
        [5, cancelOf(2)],
        [6, cancelOf(3)],
        [7, cancelOf(99)],
        [8, cancelOf(8)],
      ],
      8,
    );
    expect(got).toEqual(['5 tooLate', '3 canceled', '6 success', '7 noSuchOperation', '8 cannotCancel']);
    judge();
    await connection.until((m) => ends(m).includes('2 success'));
    judge();
    await connection.until((m) => ends(m).includes('4 success'));
    expect(seen).toEqual([`cn=first,${BASE}`, `cn=third,${BASE}`]);
    expect(served.directory.resolve(`cn=second,${BASE}`)).toBe(0);
    const late = await together(connection, [[9, cancelOf(2)]], 9);
    expect(late.at(-1)).toBe('9 noSuchOperation');
    connection.socket.destroy();
  });

  it('of the end of a transaction that waits: nothing of it happens, and it is gone', async () => {
    const { served, judge, seen } = await hesitant();
    await using _ = served;
    const connection = await bound(served);
    await connection.send(2, { op: 'extendedRequest', oid: EXTENDED.startTransaction });
    const started = (await connection.until((m) => m.length === 2))[1]?.operation;
    const identifier = (started?.op === 'extendedResponse' ? started.value : undefined) ?? Buffer.alloc(0);
    const specification = [{ oid: CONTROL.transactionSpecification, critical: true, value: identifier }];
    const end: Operation = {
      op: 'extendedRequest',
      oid: EXTENDED.endTransaction,
      value: encodeEndTransactionRequest({ commit: true, identifier }),
    };
    const got = await together(
      connection,
      [
        [3, add('in'), specification],
        [4, add('before')],
        [5, end],
        [6, cancelOf(5)],
        [7, end],
      ],
      7,
    );
    expect(got.slice(1)).toEqual(['3 success', '5 canceled', '6 success', '7 operationsError']);
    expect(served.server.transactionBudget.used).toBe(0);
    judge();
    await connection.until((m) => ends(m).includes('4 success'));
    expect(seen).toEqual([`cn=before,${BASE}`]);
    connection.socket.destroy();
  });

  it('of an extended operation of the owner: cannot be', async () => {
    let answer: () => void = () => undefined;
    await using served = await serveDirectory({
      hooks: {
        authenticate: () => ({ identity: { role: 'administrator', authorizationId: 'u:a', dn: 'cn=a' } }),
        extended: {
          '1.2.3': () =>
            new Promise((resolve) => {
              answer = () => resolve({ result: SUCCESS });
            }),
        },
      },
    });
    const connection = await bound(served);
    const own: Operation = { op: 'extendedRequest', oid: '1.2.3' };
    const got = await together(
      connection,
      [
        [2, own],
        [3, cancelOf(2)],
      ],
      3,
    );
    expect(got).toEqual(['3 cannotCancel']);
    answer();
    await connection.until((m) => ends(m).includes('2 success'));
    connection.socket.destroy();
  });

  it('without or with a broken value is a protocol error; another connection has no such operation', async () => {
    await using served = await serveDirectory();
    const client = await served.client();
    for (const value of [undefined, Buffer.from('x'), Buffer.from([0x30, 0])])
      expect(await outcome(client.extended(EXTENDED.cancel, value, { accept }))).toMatch(/^protocolError/);
    const value = encodeSyncRequest({ mode: 'refreshAndPersist', reloadHint: false });
    const controls = [{ oid: CONTROL.syncRequest, critical: true, value }];
    const stream = client.search({ base: BASE }, { controls, accept });
    await stream[Symbol.asyncIterator]().next();
    const other = await served.client();
    const tried = other.extended(EXTENDED.cancel, encodeCancelRequest(stream.messageId), { accept });
    expect(await outcome(tried)).toBe('noSuchOperation');
  });
});

describe('abandon', () => {
  it('ends a search without an answer, and a waiting update before it happens', async () => {
    const { served, judge, seen } = await hesitant();
    await using _ = served;
    const connection = await bound(served);
    const got = await together(
      connection,
      [
        [2, add('first')],
        [3, add('second')],
        [4, { op: 'abandonRequest', messageId: 3 }],
        [5, { op: 'abandonRequest', messageId: 77 }],
        [6, { op: 'abandonRequest', messageId: 6 }],
        [7, { op: 'abandonRequest', messageId: 2 }],
        [8, { op: 'extendedRequest', oid: EXTENDED.whoAmI }],
      ],
      8,
    );
    expect(got).toEqual(['8 success']);
    judge();
    // The one under way is carried out, and not answered.
    await until(
      'the first add',
      () => served.directory.resolve(`cn=first,${BASE}`),
      (id) => id !== 0,
    );
    const last = await together(connection, [[9, { op: 'extendedRequest', oid: EXTENDED.whoAmI }]], 9);
    expect(last).toEqual(['8 success', '9 success']);
    expect(seen).toEqual([`cn=first,${BASE}`]);
    connection.socket.destroy();
  });

  it('a bind and the end of the connection take waiting updates back', async () => {
    const { served, judge, seen } = await hesitant();
    await using _ = served;
    const [holder, binder, leaver] = [await bound(served), await bound(served), await bound(served)];
    await holder.send(2, add('holder'));
    await until(
      'the judge to be asked',
      () => seen.length,
      (count) => count === 1,
    );
    await binder.send(2, add('binder'));
    await leaver.send(2, add('leaver'));
    await until(
      'both to wait',
      () => served.directory.committer.waiting,
      (count) => count === 2,
    );
    await binder.send(3, bind(ADMINISTRATOR.dn, ADMINISTRATOR.password));
    leaver.socket.destroy();
    await until(
      'both to be taken back',
      () => served.directory.committer.waiting,
      (count) => count === 0,
    );
    judge();
    await holder.until((m) => ends(m).includes('2 success'));
    expect(seen).toEqual([`cn=holder,${BASE}`]);
    holder.socket.destroy();
    binder.socket.destroy();
  });

  it('an id in use is refused, and the first one goes on', async () => {
    const { served, judge } = await hesitant();
    await using _ = served;
    const connection = await bound(served);
    const got = await together(
      connection,
      [
        [2, add('a')],
        [2, add('b')],
      ],
      2,
    );
    expect(got).toEqual(['2 protocolError']);
    judge();
    await connection.until((m) => ends(m).includes('2 success'));
    connection.socket.destroy();
  });
});
