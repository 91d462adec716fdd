/** What a directory does with whatever it is asked: filters against indexes, whole requests of a trusted client. */
import { BerWriter } from '../../../src/asn1/writer.ts';
import { systemClock } from '../../../src/base/clock.ts';
import { type Log, silentLog } from '../../../src/base/log.ts';
import { systemRandom } from '../../../src/base/random.ts';
import { Directory } from '../../../src/directory/directory.ts';
import { EntryView } from '../../../src/directory/entry/layout.ts';
import { formatCookie, parseCookie } from '../../../src/directory/sync/cookie.ts';
import { compileFilter } from '../../../src/directory/search/filter.ts';
import { TRUE } from '../../../src/directory/search/matcher.ts';
import { DirectoryServer } from '../../../src/directory/server.ts';
import { createMemoryStore } from '../../../src/directory/store/memory-store.ts';
import type { ServerConnection } from '../../../src/ldap/server.ts';
import { decodeBytes } from '../../../src/ldap/decode.ts';
import { DecodeError } from '../../../src/base/decode-error.ts';
import { encodeBytes } from '../../../src/ldap/encode.ts';
import { parseFilter } from '../../../src/ldap/filter.ts';
import { Framer } from '../../../src/ldap/framer.ts';
import type { Operation } from '../../../src/ldap/message.ts';
import { RESULT_CODE } from '../../../src/ldap/result-code.ts';
import { packCookie, unpackCookie } from '../../../src/sync/cookie.ts';
import { mergeCookies } from '../../../src/sync/source/csn-cookie.ts';
import { type FuzzTarget, mustBeEqual, valueOrRefusal } from '../target.ts';
import { exampleFilters } from './text.ts';

const BASE = 'dc=example,dc=org';
const RIGHTS = ['search', 'read', 'compare', 'write', 'add', 'delete', 'rename'] as const;

const people = (count: number): Extract<Operation, { op: 'addRequest' }>[] => [
  { op: 'addRequest', dn: BASE, attributes: values({ objectClass: ['domain'], dc: ['example'] }) },
  ...Array.from({ length: count }, (_, n) => ({
    op: 'addRequest' as const,
    dn: `cn=p${n},${BASE}`,
    attributes: values({
      objectClass: ['inetOrgPerson'],
      sn: [`s${n % 3}`, 'Ünïcode  Näme'],
      mail: [`p${n}@example.org`],
      'description;lang-de': ['x'],
      seeAlso: [`CN=P0, ${BASE}`],
      telephoneNumber: ['+49 30 12-3'],
    }),
  })),
];

function values(record: Readonly<Record<string, readonly string[]>>): { type: string; values: Buffer[] }[] {
  return Object.entries(record).map(([type, list]) => ({
    type,
    values: list.map((value) => Buffer.from(value)),
  }));
}

function makeDirectory(log: Log): Directory {
  const directory = new Directory({
    store: createMemoryStore(),
    clock: systemClock,
    random: systemRandom,
    log,
    contexts: [BASE],
    access: { rules: [{ roles: ['administrator'], subtree: '', rights: RIGHTS }], secrets: ['userPassword'] },
    changeLog: 100,
  });
  void directory.apply(people(6).map((request) => ({ request })));
  return directory;
}

/** A filter finds the same entries by an index as by looking at each. */
export const MATCH: FuzzTarget = (() => {
  let directory: Directory | undefined;
  return {
    name: 'match',
    shape: 'text',
    mostBytes: 2048,
    words: [
      '(cn=p1)',
      '(sn=s*)',
      '(objectClass=person)',
      '(mail=P1@EXAMPLE.ORG)',
      '(seeAlso=cn=p0,dc=example,dc=org)',
      ':caseIgnoreMatch:=',
      ':dn:=',
      '(entryUUID=',
      '(createTimestamp>=2026',
      '(hasSubordinates=TRUE)',
      '(entryDN:distinguishedNameMatch:=',
      ';lang-de=',
      '(telephoneNumber=+4930123)',
      '(userPassword=*)',
    ],
    steps: { base: 60_000, perByte: 4000 },
    examples: (seed) =>
      [
        ...exampleFilters(seed, 60),
        '(&(objectClass=inetOrgPerson)(|(cn=p1)(!(sn=s1))))',
        '(entryUUID=*)',
        '(createTimestamp>=20260101000000Z)',
        '(hasSubordinates=TRUE)',
        '(subschemaSubentry=cn=Subschema)',
        '(structuralObjectClass=inetOrgPerson)',
        '(cn:dn:=example)',
        `(entryDN=${BASE})`,
      ].map((item) => Buffer.from(item)),
    run(input) {
      directory ??= makeDirectory(silentLog);
      const { database, computed, system, access } = directory;
      const filter = valueOrRefusal(() => parseFilter(input.toString('utf8')));
      if (filter === undefined) return;
      const matcher = compileFilter(filter, directory.filterOptions);
      const offered: number[] = [];
      const candidates = matcher.candidates(database);
      const listed = candidates?.collect(offered) === true ? new Set(offered) : undefined;
      for (let id = database.store.nextId(0); id !== 0; id = database.store.nextId(id)) {
        const view = new EntryView();
        database.read(id, view);
        const context = { database, computed, session: system, view, id, access: access.view(system, id) };
        if (matcher.match(context) === TRUE && listed !== undefined && !listed.has(id))
          throw new Error('an entry that matches is not among the candidates');
      }
    },
  };
})();

/** Requests of an administrator and of a stranger: whatever they are, no answer is "internal error" and nothing is logged as one. */
export const REQUEST: FuzzTarget = (() => {
  let site: { server: DirectoryServer; failures: unknown[] } | undefined;
  let runs = 0;
  const open = (): NonNullable<typeof site> => {
    const failures: unknown[] = [];
    const log: Log = {
      ...silentLog,
      error: (message, fields) => void failures.push(fields?.['error'] ?? message),
    };
    const directory = makeDirectory(log);
    const server = new DirectoryServer({
      directory,
      initialIdentity: ({ remoteAddress }) =>
        remoteAddress === '127.0.0.1'
          ? { role: 'administrator', authorizationId: 'dn:cn=a', dn: 'cn=a' }
          : { role: 'anonymous', authorizationId: '', dn: '' },
    });
    return { server, failures };
  };
  return {
    name: 'request',
    shape: 'ber',
    mostBytes: 4096,
    words: [
      BASE,
      `cn=p1,${BASE}`,
      'cn=p2',
      'cn',
      'objectClass',
      'person',
      '1.3.6.1.4.1.4203.1.11.3',
      '1.2.840.113556.1.4.319',
      '1.3.6.1.4.1.4203.1.9.1.1',
      '1.3.6.1.1.21.1',
      '1.3.6.1.1.21.3',
      '1.3.6.1.1.12',
      '1.3.6.1.1.13.1',
      '1.2.840.113556.1.4.473',
      '1.2.840.113556.1.4.805',
      '1.3.6.1.1.8',
      '1.3.6.1.4.1.4203.1.11.1',
      'cn=Subschema',
      'entryUUID',
      'ou;x-a',
      '*',
      '+',
    ],
    steps: { base: 150_000, perByte: 8000 },
    examples: (seed) =>
      requests(seed).map((operation, i) =>
        encodeBytes({ messageId: 1 + (i % 100), operation, controls: [] }),
      ),
    run(input) {
      if (site === undefined || ++runs % 2000 === 0) site = open();
      const { server, failures } = site;
      for (const remoteAddress of ['127.0.0.1', '192.0.2.1']) {
        const connection = fakeConnection(remoteAddress);
        const handler = server.accept(connection as unknown as ServerConnection);
        try {
          const framer = new Framer({ maxMessageBytes: 65_536 });
          framer.push(Buffer.from(input));
          for (const frame of framer)
            if (connection.open) handler.onFrame(frame, connection as unknown as ServerConnection);
        } catch (error) {
          if (!(error instanceof DecodeError)) throw error;
        }
        connection.open = false;
        handler.onClose?.(connection as unknown as ServerConnection);
        checkAnswers(connection.out.toBuffer());
      }
      const failure = failures.shift();
      if (failure instanceof Error) throw failure;
      if (failure !== undefined) throw new Error(`logged as an error: ${JSON.stringify(failure)}`);
    },
  };
})();

function checkAnswers(bytes: Buffer): void {
  const framer = new Framer({ maxMessageBytes: 1 << 24 });
  framer.push(bytes);
  for (const { buffer, start, end } of framer) {
    const { operation } = decodeBytes(buffer.subarray(start, end));
    if ('result' in operation && operation.result.code === RESULT_CODE.other)
      throw new Error(`answered "other": ${operation.result.diagnostic}`);
  }
  if (framer.buffered > 0) throw new Error('half an answer');
}

function requests(seed: number): Operation[] {
  const search = (
    text: string,
    more: Partial<Extract<Operation, { op: 'searchRequest' }>> = {},
  ): Operation => ({
    op: 'searchRequest',
    base: BASE,
    scope: 'subtree',
    derefAliases: 'never',
    sizeLimit: 0,
    timeLimit: 0,
    typesOnly: false,
    filter: parseFilter(text),
    attributes: [],
    ...more,
  });
  const change = (kind: 'add' | 'delete' | 'replace' | 'increment', type: string, ...list: string[]) =>
    ({ kind, attribute: { type, values: list.map((value) => Buffer.from(value)) } }) as const;
  return [
    ...people(3),
    ...exampleFilters(seed, 20).map((text) => search(text)),
    search('(cn=p1)', { attributes: ['*', '+', '@person'] }),
    search('(objectClass=*)', { base: '', scope: 'base', attributes: ['+'] }),
    search('(objectClass=*)', { base: 'cn=Subschema', scope: 'base', attributes: ['attributeTypes'] }),
    search('(objectClass=*)', { scope: 'one', typesOnly: true, sizeLimit: 2 }),
    {
      op: 'modifyRequest',
      dn: `cn=p1,${BASE}`,
      changes: [change('add', 'description', 'a'), change('replace', 'sn', 'b'), change('delete', 'mail')],
    },
    {
      op: 'modifyRequest',
      dn: `cn=p2,${BASE}`,
      changes: [change('increment', 'uidNumber', '1'), change('delete', 'sn', 's2')],
    },
    { op: 'modifyDnRequest', dn: `cn=p3,${BASE}`, newRdn: 'cn=q+sn=s', deleteOldRdn: true },
    {
      op: 'modifyDnRequest',
      dn: `cn=p4,${BASE}`,
      newRdn: 'cn=p4',
      deleteOldRdn: false,
      newSuperior: `cn=p1,${BASE}`,
    },
    { op: 'deleteRequest', dn: `cn=p5,${BASE}` },
    { op: 'compareRequest', dn: `cn=p1,${BASE}`, attribute: 'sn', value: Buffer.from('S1') },
    {
      op: 'bindRequest',
      version: 3,
      name: '',
      authentication: { kind: 'simple', password: Buffer.alloc(0) },
    },
    { op: 'bindRequest', version: 3, name: 'cn=a', authentication: { kind: 'sasl', mechanism: 'EXTERNAL' } },
    { op: 'abandonRequest', messageId: 5 },
    { op: 'unbindRequest' },
    { op: 'extendedRequest', oid: '1.3.6.1.4.1.4203.1.11.3' },
    { op: 'extendedRequest', oid: '1.3.6.1.1.21.1' },
    {
      op: 'extendedRequest',
      oid: '1.3.6.1.1.21.3',
      value: Buffer.from('30060101000401 31'.replace(' ', ''), 'hex'),
    },
    { op: 'extendedRequest', oid: '1.3.6.1.1.8', value: Buffer.from('3003020105', 'hex') },
    { op: 'extendedRequest', oid: '1.3.6.1.4.1.1466.20037' },
  ];
}

/** What a client of the server uses of a connection, without a socket. */
function fakeConnection(remoteAddress: string) {
  const out = new BerWriter(4096);
  const connection = {
    out,
    open: true,
    id: 1,
    localKind: 'ldap',
    remoteAddress,
    remotePort: 1,
    secure: false,
    peerCertificate: undefined,
    idleTimeoutMs: undefined,
    known: false,
    maxMessageBytes: 0,
    pendingBytes: 0,
    congested: false,
    writer: () => out,
    sendMessage() {},
    send(bytes: Uint8Array) {
      out.raw(bytes);
    },
    flush: () => true,
    pause() {},
    // Not its turn in this run: nothing more is read.
    postpone: () => () => undefined,
    share: { costly() {} },
    resume() {},
    noticeOfDisconnection: () => void (connection.open = false),
    close: () => void (connection.open = false),
    destroy: () => void (connection.open = false),
    startTls() {},
  };
  return connection;
}

const IDENTITY = {
  kind: 'openldap',
  instance: 'i',
  base: BASE,
  filter: '(cn=*)',
  attributes: ['cn'],
  bindIdentity: '',
  mapping: '',
};

const ISSUER = { server: '1b2', run: '00c0de' };

/** Cookies of content synchronisation: ours as a provider, slapd's as a consumer, and what a hub stores at an edge. */
export const COOKIE: FuzzTarget = {
  name: 'cookie',
  shape: 'text',
  mostBytes: 5000,
  words: [
    'rid=',
    'sid=',
    'csn=',
    '#1b2#',
    '#00c0de',
    ';',
    '#000000#',
    '#001#',
    '20261122021647.123000Z',
    '.000000Z',
  ],
  steps: { base: 4000, perByte: 300 },
  examples: () =>
    [
      formatCookie({ time: 1_790_000_000_000, count: 7 }, ISSUER).toString('latin1'),
      'rid=000,sid=001,csn=20261122021647.123456Z#000000#001#000000;20261122021648.000000Z#000001#002#000000',
      'rid=001,csn=20261122021647Z#000000#000#000000',
    ].map((item) => Buffer.from(item)),
  run(input) {
    const change = parseCookie(input, ISSUER);
    // A date that is none (month 13) rolls over; what we make of it must be one that we would make.
    if (change !== undefined && change.time > 0 && change.time < 253_402_300_800_000)
      mustBeEqual(parseCookie(formatCookie(change, ISSUER), ISSUER), change, 'cookie');
    const known = Buffer.from('rid=000,csn=20261122021647.123456Z#000000#001#000000');
    const merged = mergeCookies(known, input);
    mustBeEqual(mergeCookies(merged, input), mergeCookies(known, input), 'merging twice');
    mustBeEqual(unpackCookie(IDENTITY, packCookie(IDENTITY, input)), input, 'stored cookie');
    if (unpackCookie(IDENTITY, input) !== undefined) throw new Error('a cookie that nobody made');
  },
};
