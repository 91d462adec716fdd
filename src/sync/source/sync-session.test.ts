import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isPosternError } from '../../base/error.ts';
import type { SearchItem } from '../../ldap/client.ts';
import { CONTROL, INTERMEDIATE } from '../../ldap/control.ts';
import type { Control, LdapResult } from '../../ldap/message.ts';
import {
  encodeSyncDone,
  encodeSyncInfo,
  encodeSyncState,
  type SyncInfo,
  type SyncState,
} from '../../ldap/sync-values.ts';
import type { FeedEvent } from './source.ts';
import { finish, receive, startSync, type SyncSession } from './sync-session.ts';

const uuid = (n: number): Buffer => Buffer.alloc(16, n);
const bytes = (text: string): Buffer => Buffer.from(text);
const result = (code: number, diagnostic = ''): LdapResult => ({ code, matchedDn: '', diagnostic });

function stateControl(state: SyncState['state'], n: number, cookie?: string): Control {
  const value = encodeSyncState({
    state,
    entryUuid: uuid(n),
    ...(cookie === undefined ? {} : { cookie: bytes(cookie) }),
  });
  return { oid: CONTROL.syncState, critical: false, value };
}

function entry(state: SyncState['state'], n: number, cookie?: string): SearchItem {
  const attributes =
    state === 'add' || state === 'modify' ? [{ type: 'mail', values: [bytes(`u${n}@x`)] }] : [];
  return {
    messageId: 1,
    operation: { op: 'searchResultEntry', dn: `uid=${n}`, attributes },
    controls: [stateControl(state, n, cookie)],
  };
}

function info(value: SyncInfo): SearchItem {
  return {
    messageId: 1,
    operation: { op: 'intermediateResponse', oid: INTERMEDIATE.syncInfo, value: encodeSyncInfo(value) },
    controls: [],
  };
}

const idSet = (refreshDeletes: boolean, ns: number[], cookie?: string): SearchItem =>
  info({
    kind: 'idSet',
    refreshDeletes,
    entryUuids: ns.map(uuid),
    ...(cookie === undefined ? {} : { cookie: bytes(cookie) }),
  });
const refreshEnds = (
  kind: 'refreshDelete' | 'refreshPresent',
  refreshDone: boolean,
  cookie?: string,
): SearchItem => info({ kind, refreshDone, ...(cookie === undefined ? {} : { cookie: bytes(cookie) }) });

/** Events in words. */
function words(events: readonly FeedEvent[]): string[] {
  return events.map((event) => {
    switch (event.kind) {
      case 'upsert':
        return `upsert ${event.entry.guid[0]} ${[...event.entry.attributes.keys()].join()}`.trim();
      case 'delete':
        return `delete ${event.guid[0]}`;
      case 'present':
        return `present ${event.guids.map((guid) => guid[0]).join()}`;
      case 'complete':
        return `complete ${event.sweep ? 'sweep ' : ''}${event.cookie?.toString()}`;
      case 'position':
        return `position ${event.cookie.toString()}`;
      default:
        return event.kind;
    }
  });
}

function run(
  cookie: string | undefined,
  items: readonly SearchItem[],
): { session: SyncSession; said: string[] } {
  const events: FeedEvent[] = [];
  let session = startSync(cookie === undefined ? undefined : bytes(cookie));
  for (const item of items) session = receive(session, item, events);
  return { session, said: words(events) };
}

const cases: {
  name: string;
  cookie?: string;
  items: SearchItem[];
  said: string[];
  stage?: 'refresh' | 'persist';
}[] = [
  {
    name: 'a first refresh as slapd sends it: what it does not mention is gone',
    items: [entry('add', 1), entry('add', 2), refreshEnds('refreshDelete', true, 'c1')],
    said: ['upsert 1 mail', 'upsert 2 mail', 'complete sweep c1'],
  },
  {
    name: 'a present phase',
    cookie: 'c1',
    items: [
      entry('add', 1),
      idSet(false, [2, 3]),
      entry('present', 4),
      refreshEnds('refreshPresent', true, 'c2'),
    ],
    said: ['upsert 1 mail', 'present 2,3', 'present 4', 'complete sweep c2'],
  },
  {
    name: 'a delete phase: no sweep, and no belief in the cookies on the way',
    cookie: 'c1',
    items: [
      idSet(true, [1, 2], 'rid=0,csn=5,delcsn=4'),
      entry('delete', 3),
      entry('add', 4, 'c1.5'),
      refreshEnds('refreshDelete', true, 'c2'),
    ],
    said: ['delete 1', 'delete 2', 'delete 3', 'upsert 4 mail', 'complete c2'],
  },
  {
    name: 'a present phase, then a delete phase',
    cookie: 'c1',
    items: [
      idSet(false, [1]),
      refreshEnds('refreshPresent', false, 'c1.5'),
      idSet(true, [2]),
      refreshEnds('refreshDelete', true, 'c2'),
    ],
    said: ['present 1', 'delete 2', 'complete sweep c2'],
  },
  {
    name: 'nothing has changed: the cookie that was sent stays good',
    cookie: 'c1',
    items: [refreshEnds('refreshDelete', true)],
    said: ['complete c1'],
  },
  {
    name: 'cookies during the refresh are not kept',
    cookie: 'c1',
    items: [info({ kind: 'newCookie', cookie: bytes('c1.5') }), entry('add', 1)],
    said: ['upsert 1 mail'],
    stage: 'refresh',
  },
  {
    name: 'the persist stage',
    cookie: 'c1',
    items: [
      refreshEnds('refreshDelete', true),
      entry('add', 1, 'c2'),
      entry('modify', 1, 'c3'),
      entry('delete', 1, 'c4'),
      info({ kind: 'newCookie', cookie: bytes('c5') }),
      idSet(true, [2, 3], 'c6'),
      entry('add', 4),
      entry('add', 5, 'csn=7,delcsn=6'),
      entry('add', 6, ''),
    ],
    said: [
      'complete c1',
      'upsert 1 mail',
      'position c2',
      'upsert 1 mail',
      'position c3',
      'delete 1',
      'position c4',
      'position c5',
      'delete 2',
      'delete 3',
      'position c6',
      'upsert 4 mail',
      'upsert 5 mail',
      'upsert 6 mail',
    ],
  },
  {
    name: 'a referral is known and no recipient; other people’s intermediate responses are passed over',
    items: [
      {
        messageId: 1,
        operation: { op: 'searchResultReference', urls: ['ldap://elsewhere/'] },
        controls: [stateControl('add', 1)],
      },
      { messageId: 1, operation: { op: 'intermediateResponse', oid: '1.2.3' }, controls: [] },
    ],
    said: ['upsert 1'],
    stage: 'refresh',
  },
];

describe('messages become events', () => {
  test.each(cases)('$name', ({ cookie, items, said, stage }) => {
    const outcome = run(cookie, items);
    expect(outcome.said).toEqual(said);
    expect(outcome.session.stage).toBe(stage ?? 'persist');
  });

  test('options of attributes are taken off, their values put together', () => {
    const events: FeedEvent[] = [];
    const attributes = [
      { type: 'Mail;lang-de', values: [bytes('a')] },
      { type: 'MAIL', values: [bytes('b'), bytes('c')] },
    ];
    const item: SearchItem = {
      messageId: 1,
      operation: { op: 'searchResultEntry', dn: '', attributes },
      controls: [stateControl('add', 1)],
    };
    receive(startSync(undefined), item, events);
    const [event] = events;
    expect(event?.kind === 'upsert' && event.entry.attributes.get('mail')?.join()).toBe('a,b,c');
  });
});

describe('the end of the search', () => {
  const done = (cookie: string | undefined, refreshDeletes: boolean): Control => ({
    oid: CONTROL.syncDone,
    critical: false,
    value: encodeSyncDone({ refreshDeletes, ...(cookie === undefined ? {} : { cookie: bytes(cookie) }) }),
  });
  const end = (
    cookie: string | undefined,
    code: number,
    controls: Control[] = [],
    items: SearchItem[] = [],
  ) => {
    const events: FeedEvent[] = [];
    const next = finish(run(cookie, items).session, result(code, 'why'), controls, events);
    return [next, ...words(events)];
  };

  test('the refresh only: complete, with a sweep unless deletions were listed', () => {
    expect(end(undefined, 0, [done('c1', true)])).toEqual(['over', 'complete sweep c1']);
    expect(end('c0', 0, [done('c1', true)])).toEqual(['over', 'complete c1']);
    expect(end('c0', 0, [done('c1', false)])).toEqual(['over', 'complete sweep c1']);
    expect(end('c0', 0, [done(undefined, true)])).toEqual(['over', 'complete c0']);
  });

  test('a refresh is required: again without the cookie', () => {
    expect(end('c0', 4096)).toEqual(['again', 'restart']);
    expect(() => end(undefined, 4096)).toThrow(expect.objectContaining({ code: 'source.invalid' }));
  });

  test.each([
    ['a success that does not speak of the refresh', 'c0', 0, [], 'source.invalid'],
    ['the size limit', 'c0', 4, [], 'source.incomplete'],
    ['the time limit', undefined, 3, [], 'source.incomplete'],
    ['the administrative limit', undefined, 11, [], 'source.incomplete'],
    ['a cookie newer than the provider', 'c0', 53, [], 'source.behind'],
    ['unwilling without a cookie', undefined, 53, [], 'source.unavailable'],
    ['no content synchronisation', undefined, 12, [], 'source.invalid'],
    ['no such base', 'c0', 32, [], 'source.invalid'],
    ['busy', 'c0', 51, [], 'source.unavailable'],
    ['an end in the persist stage', 'c0', 0, [refreshEnds('refreshDelete', true)], 'source.unavailable'],
  ] as const)('%s', (_name, cookie, code, items, expected) => {
    expect(() => end(cookie, code, [], [...items])).toThrow(expect.objectContaining({ code: expected }));
  });
});

describe('what no provider may send', () => {
  const broken: [string, SearchItem[]][] = [
    ['an entry without its state', [{ ...entry('add', 1), controls: [] }]],
    [
      'an identifier of another length',
      [
        {
          ...entry('add', 1),
          controls: [
            { oid: CONTROL.syncState, critical: false, value: bytes('\x30\x05\x0a\x01\x01\x04\x00') },
          ],
        },
      ],
    ],
    [
      'a control without a value',
      [{ ...entry('add', 1), controls: [{ oid: CONTROL.syncState, critical: false }] }],
    ],
    ['another refresh', [refreshEnds('refreshDelete', true, 'c'), refreshEnds('refreshPresent', true, 'c')]],
  ];
  test.each(broken)('%s', (_name, items) => {
    expect(() => run(undefined, items)).toThrow(expect.objectContaining({ code: 'source.invalid' }));
  });

  test('any bytes give events or source.invalid', () => {
    const value = fc.option(fc.uint8Array({ maxLength: 40 }), { nil: undefined });
    fc.assert(
      fc.property(value, fc.boolean(), (raw, asInfo) => {
        const carried = raw === undefined ? {} : { value: Buffer.from(raw) };
        const item: SearchItem = asInfo
          ? {
              messageId: 1,
              operation: { op: 'intermediateResponse', oid: INTERMEDIATE.syncInfo, ...carried },
              controls: [],
            }
          : { ...entry('add', 1), controls: [{ oid: CONTROL.syncState, critical: false, ...carried }] };
        try {
          run('c', [item]);
        } catch (error) {
          expect(isPosternError(error, 'source.invalid')).toBe(true);
        }
      }),
    );
  });
});
