/** RFC 4533 as provider: a consumer that believes every message ends with what a search shows, whatever happened in between. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ask } from '../../../test/support/directory-questions.ts';
import { addition, type ServedDirectory, serveDirectory } from '../../../test/support/served-directory.ts';
import { startSlapd } from '../../../test/support/slapd.ts';
import { systemClock } from '../../base/clock.ts';
import { Secret } from '../../base/secret.ts';
import { connectLdap, type LdapClient } from '../../ldap/client.ts';
import type { SearchItem } from '../../ldap/client-search.ts';
import { CONTROL, findControl, INTERMEDIATE } from '../../ldap/control.ts';
import { parseFilter } from '../../ldap/filter.ts';
import type { Filter } from '../../ldap/message.ts';
import { RESULT_CODE } from '../../ldap/result-code.ts';
import {
  decodeSyncDone,
  decodeSyncInfo,
  decodeSyncState,
  encodeSyncRequest,
} from '../../ldap/sync-values.ts';
import type { Update } from '../directory.ts';
import { uuidText } from '../entry/computed.ts';
import { TRUSTED_LIMITS } from '../protocol/limits.ts';

const BASE = 'dc=example,dc=org';
const accept = Array.from({ length: 5000 }, (_, n) => n);

/** A consumer by the letter of RFC 4533 §3: keeps content by UUID and the last cookie. */
class Consumer {
  readonly content = new Map<string, { dn: string; values: string }>();
  cookie: Buffer | undefined;
  /** What the last refresh consisted of. */
  adds = 0;
  presents = 0;
  deletes = 0;
  refreshDone = 0;
  #mentioned = new Set<string>();

  take(item: SearchItem): void {
    const { operation, controls } = item;
    if (operation.op === 'searchResultEntry') {
      const state = decodeSyncState(findControl(controls, CONTROL.syncState)?.value);
      const key = state.entryUuid.toString('hex');
      if (state.state === 'delete') {
        this.content.delete(key);
        this.deletes++;
      } else {
        const values = operation.attributes
          .map((a) => `${a.type}=${a.values.map(String).sort().join('|')}`)
          .sort();
        this.content.set(key, { dn: operation.dn, values: values.join(';') });
        this.adds++;
      }
      this.#mentioned.add(key);
      this.cookie = state.cookie ?? this.cookie;
      return;
    }
    if (operation.op !== 'intermediateResponse' || operation.oid !== INTERMEDIATE.syncInfo) return;
    const info = decodeSyncInfo(operation.value);
    if (info.kind === 'idSet') {
      for (const uuid of info.entryUuids) {
        const key = uuid.toString('hex');
        if (info.refreshDeletes) this.content.delete(key);
        else this.#mentioned.add(key);
        if (info.refreshDeletes) this.deletes++;
        else this.presents++;
      }
    } else if (info.kind !== 'newCookie') {
      if (info.kind === 'refreshPresent') this.#forgetOthers();
      if (info.refreshDone) this.refreshDone++;
    }
    this.cookie = info.cookie ?? this.cookie;
  }

  begin(): void {
    this.#mentioned = new Set();
    this.adds = this.presents = this.deletes = this.refreshDone = 0;
  }

  end(value: Buffer | undefined): void {
    const done = decodeSyncDone(value);
    if (!done.refreshDeletes) this.#forgetOthers();
    this.cookie = done.cookie ?? this.cookie;
  }

  #forgetOthers(): void {
    for (const key of this.content.keys()) if (!this.#mentioned.has(key)) this.content.delete(key);
  }

  get state(): Record<string, string> {
    return Object.fromEntries([...this.content.values()].map(({ dn, values }) => [dn, values]));
  }
}

interface Wish {
  readonly filter?: Filter;
  readonly base?: string;
}

const request = (mode: 'refreshOnly' | 'refreshAndPersist', cookie: Buffer | undefined) => ({
  controls: [
    {
      oid: CONTROL.syncRequest,
      critical: true,
      value: encodeSyncRequest({ mode, reloadHint: false, ...(cookie !== undefined && { cookie }) }),
    },
  ],
  accept,
});

async function refresh(client: LdapClient, consumer: Consumer, wish: Wish = {}): Promise<number> {
  consumer.begin();
  const stream = client.search({ base: BASE, ...wish }, request('refreshOnly', consumer.cookie));
  for await (const item of stream) consumer.take(item);
  const { operation, controls } = await stream.done;
  if (operation.result.code === 0) consumer.end(findControl(controls, CONTROL.syncDone)?.value);
  return operation.result.code;
}

/** What a search shows, in the consumer's form. */
async function shown(
  client: LdapClient,
  { filter = parseFilter('(objectClass=*)'), base = BASE }: Wish = {},
): Promise<Record<string, string>> {
  const { entries } = await ask(client, { base, filter });
  return Object.fromEntries(
    Object.entries(entries).map(([dn, attributes]) => [
      dn,
      Object.entries(attributes)
        .map(([type, values]) => `${type}=${values.join('|')}`)
        .sort()
        .join(';'),
    ]),
  );
}

const person = (cn: string, description = 'd'): Update =>
  addition(`cn=${cn},${BASE}`, { objectClass: ['person'], sn: ['x'], description: [description] });
const modify = (cn: string, description: string): Update => ({
  request: {
    op: 'modifyRequest',
    dn: `cn=${cn},${BASE}`,
    changes: [{ kind: 'replace', attribute: { type: 'description', values: [Buffer.from(description)] } }],
  },
});
const remove = (cn: string): Update => ({ request: { op: 'deleteRequest', dn: `cn=${cn},${BASE}` } });
const rename = (cn: string, to: string): Update => ({
  request: { op: 'modifyDnRequest', dn: `cn=${cn},${BASE}`, newRdn: `cn=${to}`, deleteOldRdn: true },
});

const site = (changeLog: number): Promise<ServedDirectory> =>
  serveDirectory({
    directory: { changeLog, access: { rules: [ALL], secrets: [] } },
    entries: [addition(BASE, { objectClass: ['domain'] }), ...['a', 'b', 'c', 'd'].map((cn) => person(cn))],
  });
const ALL = {
  roles: ['administrator'],
  subtree: '',
  rights: ['search', 'read', 'compare', 'write', 'add', 'delete', 'rename'],
} as const;

describe('refreshOnly', () => {
  it('sends everything first, then nothing, then what changed, deletions by UUID', async () => {
    await using served = await site(100);
    const client = await served.client();
    const consumer = new Consumer();
    await refresh(client, consumer);
    expect([consumer.adds, consumer.presents, consumer.deletes]).toEqual([5, 0, 0]);
    await refresh(client, consumer);
    expect([consumer.adds, consumer.presents, consumer.deletes]).toEqual([0, 0, 0]);
    await served.directory.apply([modify('a', 'new'), remove('b'), rename('c', 'C2'), person('e')]);
    await refresh(client, consumer);
    expect([consumer.adds, consumer.presents, consumer.deletes]).toEqual([3, 0, 1]);
    expect(consumer.state).toEqual(await shown(client));
  });

  it('uses the present phase when the log does not reach back', async () => {
    await using served = await site(2);
    const client = await served.client();
    const consumer = new Consumer();
    await refresh(client, consumer);
    await served.directory.apply([modify('a', '1')]);
    await served.directory.apply([remove('b')]);
    await served.directory.apply([modify('a', '2')]);
    await refresh(client, consumer);
    expect([consumer.adds, consumer.presents, consumer.deletes]).toEqual([1, 3, 0]);
    expect(consumer.state).toEqual(await shown(client));
  });

  it.each(['nonsense', 'rid=000', 'rid=000,csn=20260101000000.000000Z#000000#000#000000', ''])(
    'a cookie of somebody else (%j) gets everything',
    async (cookie) => {
      await using served = await site(100);
      const client = await served.client();
      const consumer = new Consumer();
      consumer.cookie = Buffer.from(cookie);
      consumer.content.set('00', { dn: 'cn=stale', values: '' });
      expect(await refresh(client, consumer)).toBe(0);
      expect(consumer.adds).toBe(5);
      expect(consumer.state).toEqual(await shown(client));
    },
  );

  it('an entry that leaves the filter is deleted, one that enters is added', async () => {
    await using served = await site(100);
    const client = await served.client();
    const wish = { filter: parseFilter('(description=in)') };
    const consumer = new Consumer();
    await served.directory.apply([modify('a', 'in'), modify('b', 'in')]);
    await refresh(client, consumer, wish);
    await served.directory.apply([modify('a', 'out'), modify('c', 'in')]);
    await refresh(client, consumer, wish);
    expect(consumer.state).toEqual(await shown(client, wish));
    expect(Object.keys(consumer.state)).toEqual([`cn=b,${BASE}`, `cn=c,${BASE}`]);
  });

  it('needs the right to it', async () => {
    await using served = await serveDirectory({
      server: { limits: () => ({ ...TRUSTED_LIMITS, persistent: 0 }) },
    });
    const client = await served.client();
    expect(await refresh(client, new Consumer())).toBe(RESULT_CODE.insufficientAccessRights);
  });

  it('ends equal to a search after any changes, with any length of the log', async () => {
    const cn = fc.constantFrom('a', 'b', 'c', 'd', 'e');
    const change = fc.oneof(
      fc.tuple(fc.constant('put' as const), cn, fc.constantFrom('in', 'out')),
      fc.tuple(fc.constant('remove' as const), cn, fc.constant('')),
      fc.tuple(fc.constant('rename' as const), cn, cn),
      fc.tuple(fc.constant('refresh' as const), fc.constantFrom('first', 'second'), fc.constant('')),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(change, { maxLength: 40 }),
        fc.constantFrom(0, 1, 3, 100),
        async (steps, log) => {
          await using served = await site(log);
          const client = await served.client();
          const wish = { filter: parseFilter('(description=in)') };
          const consumers = { first: new Consumer(), second: new Consumer() };
          for (const [what, x, y] of steps) {
            if (what === 'refresh') await refresh(client, consumers[x as 'first'], x === 'first' ? {} : wish);
            else {
              const update =
                what === 'remove'
                  ? remove(x)
                  : what === 'rename'
                    ? rename(x, y)
                    : { ...person(x, y), idempotent: true };
              await served.directory.apply([update]).catch(() => undefined);
            }
          }
          for (const [name, consumer] of Object.entries(consumers)) {
            await refresh(client, consumer, name === 'first' ? {} : wish);
            expect(consumer.state).toEqual(await shown(client, name === 'first' ? {} : wish));
          }
        },
      ),
      { numRuns: 40 },
    );
  });
});

describe('refreshAndPersist', () => {
  it('tells changes as they become durable, with a cookie to go on from', async () => {
    await using served = await site(100);
    const client = await served.client();
    const watcher = await served.client();
    const consumer = new Consumer();
    const wish = { filter: parseFilter('(objectClass=person)') };
    const stream = watcher.search({ base: BASE, ...wish }, request('refreshAndPersist', undefined));
    const until = async (condition: () => boolean): Promise<void> => {
      for await (const item of { [Symbol.asyncIterator]: () => iterator }) {
        consumer.take(item);
        if (condition()) return;
      }
    };
    // One iterator for the whole stream: leaving a loop would end it.
    const inner = stream[Symbol.asyncIterator]();
    const iterator = { next: () => inner.next() };
    await until(() => consumer.refreshDone === 1);
    expect(consumer.state).toEqual(await shown(client, wish));
    consumer.begin();
    await served.directory.apply([modify('a', 'new'), person('e'), remove('b'), rename('c', 'C2')]);
    await until(() => consumer.adds + consumer.deletes === 4);
    expect(consumer.state).toEqual(await shown(client, wish));
    watcher.abandon(stream.messageId);
    await served.directory.apply([remove('d')]);
    await refresh(client, consumer, wish);
    expect([consumer.adds, consumer.deletes]).toEqual([0, 1]);
    expect(consumer.state).toEqual(await shown(client, wish));
  });

  it('a slapd consumer follows adds, changes, renames and deletes', async () => {
    await using served = await site(1000);
    const provider = `provider=${served.url} searchbase="${BASE}" type=refreshAndPersist`;
    const account = 'bindmethod=simple binddn="cn=admin,dc=example,dc=org" credentials=administrator';
    // The same top entry on both sides: a consumer does not replace one that it has under another UUID.
    const top = uuidText(served.directory.readEntry(BASE)?.uuid as Buffer);
    await using slapd = await startSlapd({
      suffix: BASE,
      ldif: `dn: ${BASE}\nobjectClass: domain\ndc: example\nentryUUID: ${top}\n`,
      databaseConfig: [`syncrepl rid=001 ${provider} ${account} retry="1 +" schemachecking=off`],
    });
    const theirs = await connectLdap({ target: slapd.url, clock: systemClock });
    await theirs.bind(slapd.adminDn, new Secret(slapd.adminPassword));
    const ours = await served.client();
    const question = { filter: parseFilter('(objectClass=*)'), attributes: ['*', 'entryUUID'] };
    const equal = async (): Promise<void> => {
      const want = await ask(ours, question);
      for (let n = 0; n < 400; n++) {
        if (JSON.stringify(sorted(await ask(theirs, question))) === JSON.stringify(sorted(want))) return;
        await systemClock.sleep('test.poll', 25);
      }
      expect(sorted(await ask(theirs, question))).toEqual(sorted(want));
    };
    await equal();
    await served.directory.apply([modify('a', 'new'), person('e'), remove('b')]);
    await equal();
    await served.directory.apply([rename('c', 'C2')]);
    await equal();
    await slapd.stop();
    await served.directory.apply([remove('d'), person('f'), modify('e', 'later')]);
    await slapd.start();
    const again = await connectLdap({ target: slapd.url, clock: systemClock });
    await again.bind(slapd.adminDn, new Secret(slapd.adminPassword));
    theirs.destroy();
    const want = sorted(await ask(ours, question));
    for (let n = 0; n < 400; n++) {
      if (JSON.stringify(sorted(await ask(again, question))) === JSON.stringify(want)) break;
      await systemClock.sleep('test.poll', 25);
    }
    expect(sorted(await ask(again, question))).toEqual(want);
    again.destroy();
  });
});

function sorted(outcome: Awaited<ReturnType<typeof ask>>): [string, [string, readonly string[]][]][] {
  return Object.entries(outcome.entries)
    .map(([dn, attributes]): [string, [string, readonly string[]][]] => [
      dn,
      Object.entries(attributes).sort(),
    ])
    .sort((a, b) => (a[0] < b[0] ? -1 : 1));
}
