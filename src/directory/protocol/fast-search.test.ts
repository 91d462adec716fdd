/** The fast way answers exactly as the ordinary one does: same messages, whatever is asked and whoever asks. */
import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { RawConnection } from '../../../test/support/raw-connection.ts';
import { addition, type ServedDirectory, serveDirectory } from '../../../test/support/served-directory.ts';
import { systemClock } from '../../base/clock.ts';
import { silentLog } from '../../base/log.ts';
import { encodeBytes } from '../../ldap/encode.ts';
import type { Message, Scope, SearchRequest } from '../../ldap/message.ts';
import { LdapListener } from '../../ldap/server.ts';
import type { Identity } from '../directory.ts';
import { DirectoryServer } from '../server.ts';

const BASE = 'dc=example,dc=org';
const hash = (text: string): Buffer => Buffer.from(text.toLowerCase().padEnd(16, '#').slice(0, 16));

/** One server of each kind for each role: [fast, ordinary]. */
const doors: { role: string; fast: LdapListener; ordinary: LdapListener }[] = [];
let served: ServedDirectory;

beforeAll(async () => {
  served = await serveDirectory({
    rules: [
      {
        roles: ['reader'],
        subtree: `ou=people,${BASE}`,
        attributes: ['mail', 'posternAddress'],
        rights: ['search'],
      },
      {
        roles: ['reader'],
        subtree: `ou=people,${BASE}`,
        attributes: ['cn', 'posternResult'],
        rights: ['read'],
      },
      { roles: ['half'], subtree: BASE, attributes: ['mail', 'cn'], rights: ['search', 'read'] },
    ],
    directory: {
      addressHasher: (assertion) => {
        const text = assertion.toString().replace(/^smtp:/i, '');
        return text.includes('@') ? hash(text) : undefined;
      },
      virtualAttributes: [
        { attribute: 'posternResult', subtree: `ou=people,${BASE}`, compute: () => [Buffer.from('OK')] },
      ],
    },
    entries: [
      addition(BASE, { objectClass: ['domain'] }),
      addition(`ou=people,${BASE}`, { objectClass: ['organizationalUnit'] }),
      addition(`ou=other,${BASE}`, { objectClass: ['organizationalUnit'] }),
      ...['a', 'b', 'c'].flatMap((cn) =>
        ['people', 'other'].map((ou) =>
          addition(`cn=${cn},ou=${ou},${BASE}`, {
            objectClass: ['posternRecipient'],
            posternAddress: [hash(`${cn}@example.org`), hash(`${cn}.${ou}@example.org`)],
            posternRecipientKind: ['user'],
          }),
        ),
      ),
    ],
  });
  for (const role of ['administrator', 'reader', 'half', 'anonymous']) {
    const identity: Identity = { role, authorizationId: '', dn: '' };
    const listen = async (isFast: boolean): Promise<LdapListener> => {
      const server = new DirectoryServer({ directory: served.directory, initialIdentity: () => identity });
      if (!isFast) Object.defineProperty(server.fastSearch, 'try', { value: () => false });
      const address = { host: '127.0.0.1', port: 0 };
      const listener = new LdapListener({
        address,
        clock: systemClock,
        log: silentLog,
        accept: server.accept,
      });
      await listener.start();
      return listener;
    };
    doors.push({ role, fast: await listen(true), ordinary: await listen(false) });
  }
});

afterAll(async () => {
  for (const { fast, ordinary } of doors) {
    await fast.stop();
    await ordinary.stop();
  }
  await served?.[Symbol.asyncDispose]();
});

const question: fc.Arbitrary<SearchRequest> = fc.record({
  op: fc.constant('searchRequest' as const),
  base: fc.constantFrom(
    BASE,
    `ou=people,${BASE}`,
    `OU=People, ${BASE}`,
    `ou=other,${BASE}`,
    `cn=a,ou=people,${BASE}`,
    `ou=missing,${BASE}`,
    '',
    'cn=Subschema',
    'not a name',
  ),
  scope: fc.constantFrom<Scope>('base', 'one', 'subtree'),
  derefAliases: fc.constantFrom('never' as const, 'always' as const),
  sizeLimit: fc.constantFrom(0, 1, 5),
  timeLimit: fc.constantFrom(0, 10),
  typesOnly: fc.boolean(),
  filter: fc.record({
    kind: fc.constant('equality' as const),
    attribute: fc.constantFrom(
      'mail',
      'MAIL',
      'proxyAddresses',
      'posternAddress',
      'cn',
      'cn;lang-en',
      'commonName',
      'name',
      'objectClass',
      'uid',
      'nosuch',
      'posternFqdn',
    ),
    value: fc
      .constantFrom(
        'a@example.org',
        'A@EXAMPLE.org',
        'smtp:b@example.org',
        'SMTP:c.people@example.org',
        'a.other@example.org',
        'x500:b',
        'none@example.org',
        'a',
        'B ',
        '',
        'ü',
      )
      .map((text) => Buffer.from(text)),
  }),
  attributes: fc.subarray(
    ['*', '+', 'cn', 'posternResult', 'posternAddress', '1.1', 'objectClass', 'nosuch', '@posternRecipient'],
    { maxLength: 3 },
  ),
});

const ask = async (port: number, requests: readonly SearchRequest[]): Promise<Message[]> => {
  const connection = await RawConnection.open({ host: '127.0.0.1', port });
  const bytes = requests.map((operation, n) => encodeBytes({ messageId: n + 1, operation, controls: [] }));
  await connection.write(Buffer.concat(bytes));
  const done = (messages: readonly Message[]): boolean =>
    messages.filter(({ operation }) => operation.op === 'searchResultDone').length === requests.length;
  const messages = await connection.until(done);
  connection.socket.destroy();
  // The two ways may finish in another order.
  return messages.sort((a, b) => a.messageId - b.messageId);
};

it('answers are the same for every role', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(question, { minLength: 1, maxLength: 30 }), async (requests) => {
      for (const { role, fast, ordinary } of doors) {
        const [one, other] = await Promise.all([ask(fast.port, requests), ask(ordinary.port, requests)]);
        expect({ role, messages: one }).toEqual({ role, messages: other });
      }
    }),
    { numRuns: 60 },
  );
});

it('and stay the same when the tree changes', async () => {
  const { directory } = served;
  const request: SearchRequest = {
    op: 'searchRequest',
    base: `ou=people,${BASE}`,
    scope: 'subtree',
    derefAliases: 'never',
    sizeLimit: 0,
    timeLimit: 0,
    typesOnly: false,
    filter: { kind: 'equality', attribute: 'mail', value: Buffer.from('c.people@example.org') },
    attributes: ['cn'],
  };
  const rename = (dn: string, newRdn: string, newSuperior?: string) =>
    directory.apply([
      {
        request: {
          op: 'modifyDnRequest',
          dn,
          newRdn,
          deleteOldRdn: true,
          ...(newSuperior !== undefined && { newSuperior }),
        },
      },
    ]);
  const both = async (): Promise<string[]> => {
    const seen: string[] = [];
    for (const { role, fast, ordinary } of doors) {
      const [one, other] = await Promise.all([ask(fast.port, [request]), ask(ordinary.port, [request])]);
      expect({ role, messages: one }).toEqual({ role, messages: other });
      seen.push(
        one
          .map(({ operation }) =>
            'dn' in operation ? operation.dn : 'result' in operation ? operation.result.code : '',
          )
          .join(' '),
      );
    }
    return seen;
  };
  const found = `cn=c,ou=people,${BASE} 0`;
  expect(await both()).toEqual([found, found, '0', '32']);
  await rename(`ou=people,${BASE}`, 'ou=gone');
  expect(await both()).toEqual(['32', '32', '32', '32']);
  await rename(`ou=gone,${BASE}`, 'ou=people');
  expect(await both()).toEqual([found, found, '0', '32']);
  await rename(`cn=c,ou=people,${BASE}`, 'cn=moved', `ou=other,${BASE}`);
  expect(await both()).toEqual(['0', '0', '0', '32']);
  await rename(`cn=moved,ou=other,${BASE}`, 'cn=c', `ou=people,${BASE}`);
  await directory.apply([{ request: { op: 'deleteRequest', dn: `cn=c,ou=people,${BASE}` } }]);
  expect(await both()).toEqual(['0', '0', '0', '32']);
});
