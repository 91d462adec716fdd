/**
 * The edge's access table attacked: for every role, two directories that differ only in what the role must not learn give the same
 * answers, whatever is asked. With a table that hides nothing, the same questions tell them apart: so each of them is one.
 */
import { afterAll, describe, expect, it } from 'vitest';
import { FakeClock } from '../../../test/fakes/clock.ts';
import { fakeRandom } from '../../../test/fakes/random.ts';
import {
  Asker,
  type Channel,
  channelsOfEntry,
  channelsOfValue,
} from '../../../test/support/access-channels.ts';
import { addition, type ServedDirectory, serveDirectory } from '../../../test/support/served-directory.ts';
import { type AccessPolicy, DEFAULT_INDEXES } from '../../directory/directory.ts';
import { standardSchema } from '../../directory/schema/standard.ts';
import { TRUSTED_LIMITS } from '../../directory/server.ts';
import { POSTERN_ATTRIBUTE } from '../../ldap/postern-oid.ts';
import { HUB_ACCESS } from '../hub/configuration.ts';
import { EDGE_ACCESS, ROLE } from './access.ts';

/** A type below a secret one is secret too, here one with more questions to ask of it; and a class that wants it. */
const SCHEMA = standardSchema([
  `attributetype ( 1.3.6.1.4.1.55555.1.9 NAME 'xSecret' SUP posternCredential
     ORDERING octetStringOrderingMatch SUBSTR octetStringSubstringsMatch )
   objectclass ( 1.3.6.1.4.1.55555.2.9 NAME 'xSecretive' SUP top AUXILIARY MUST xSecret MAY posternCredential )`,
]);
const HUBS = 'cn=Hubs,cn=Configuration';
const HUB = `cn=hub1,${HUBS}`;
const OTHER = `cn=hub2,${HUBS}`;
const HIDDEN = 'cn=hidden,cn=Other,cn=Configuration';
const [ALPHA, BRAVO, MIDDLE] = ['marker-secret-alpha', 'marker-secret-bravo', 'marker-secret-azzzz'];

const RECIPIENT = 'cn=6ba7b810-9dad-11d1-80b4-00c04fd430c8,cn=Recipients';
const [EARLIER, LATER] = ['20260101000000Z', '20260101000001Z'] as const;

interface World {
  readonly policy: AccessPolicy;
  readonly secret: string;
  readonly hidden: boolean;
  /** A value of a recipient, which mail servers have no business with. */
  readonly pending?: string;
}

const worlds: ServedDirectory[] = [];

async function world({ policy, secret, hidden, pending = EARLIER }: World): Promise<ServedDirectory> {
  const container = (dn: string) => addition(dn, { objectClass: ['posternContainer'] });
  const entries = [
    container('cn=Configuration'),
    container(HUBS),
    container('cn=Edges,cn=Configuration'),
    container('cn=Accounts'),
    container('cn=Other,cn=Configuration'),
    container('cn=Recipients'),
    addition(HUB, {
      objectClass: ['posternHub', 'xSecretive'],
      posternFqdn: ['hub1.example.org'],
      posternCredential: [secret],
      xSecret: [secret],
    }),
    addition(OTHER, {
      objectClass: ['posternHub', 'xSecretive'],
      posternFqdn: ['hub2.example.org'],
      xSecret: [MIDDLE],
      posternCredential: [MIDDLE],
    }),
    addition('cn=hub3,cn=Hubs,cn=Configuration', { objectClass: ['posternHub'], posternFqdn: ['x'] }),
    addition(RECIPIENT, { objectClass: ['posternRecipient'], posternPendingDelete: [pending] }),
    addition('cn=other,cn=Recipients', { objectClass: ['posternRecipient'] }),
    ...(hidden
      ? [
          addition(HIDDEN, { objectClass: ['posternContainer'], description: ['hidden'] }),
          addition(`cn=below,${HIDDEN}`, { objectClass: ['posternContainer'], description: ['hidden'] }),
        ]
      : []),
  ];
  const roles = [...Object.values(ROLE), 'nobody'];
  const accounts = Object.fromEntries(roles.map((role) => [`cn=${role}`, { password: 'x', role }]));
  const served = await serveDirectory({
    accounts,
    entries,
    hooks: { controls: ['2.25.0'] },
    directory: {
      schema: SCHEMA,
      access: policy,
      // Indexes answer some questions faster: they must not answer more.
      indexes: [...DEFAULT_INDEXES, 'xSecret', 'posternCredential', 'posternPendingDelete'],
      contexts: ['cn=Configuration', 'cn=Accounts', 'cn=Recipients'],
      clock: new FakeClock(),
      random: fakeRandom('world'),
    },
    server: { limits: () => TRUSTED_LIMITS },
  });
  worlds.push(served);
  return served;
}
afterAll(async () => {
  for (const served of worlds) await served[Symbol.asyncDispose]();
});

/** The names of channels whose answers differ, and all answers. */
async function difference(
  channels: readonly Channel[],
  role: string,
  inTransaction: boolean,
  [first, second]: readonly [World, World],
): Promise<{ tell: string[]; answers: string }> {
  const as = role === 'anonymous' ? 'anonymous' : ({ name: `cn=${role}`, password: 'x' } as const);
  const askers: Asker[] = [];
  for (const one of [first, second])
    askers.push(new Asker(await (await world(one)).client(as), inTransaction));
  const [a, b] = askers as [Asker, Asker];
  const tell: string[] = [];
  let answers = '';
  for (const channel of channels) {
    const [left, right] = await Promise.all([channel.ask(a), channel.ask(b)]);
    if (left !== right) tell.push(channel.name);
    answers += `${left}\n${right}\n`;
  }
  return { tell, answers };
}

const { posternCredential } = POSTERN_ATTRIBUTE;
const VALUE_CHANNELS = [ALPHA, MIDDLE].flatMap((value) => [
  channelsOfValue('xSecret', '1.3.6.1.4.1.55555.1.9', HUB, OTHER, value as string),
  channelsOfValue('posternCredential', posternCredential, HUB, OTHER, value as string),
]);
const ENTRY_CHANNELS = channelsOfEntry(HIDDEN, HUB);
const OPEN: AccessPolicy = {
  secrets: [],
  rules: [
    {
      roles: ['*'],
      subtree: '',
      rights: ['search', 'compare', 'read', 'write', 'add', 'delete', 'rename'],
    },
  ],
};
/** Whoever may write everything: the worst that a table could grant. */
const WRITER: AccessPolicy = { ...OPEN, secrets: EDGE_ACCESS.secrets };
const secretsDiffer = (policy: AccessPolicy): [World, World] => [
  { policy, secret: ALPHA as string, hidden: false },
  { policy, secret: BRAVO as string, hidden: false },
];
const entriesDiffer = (policy: AccessPolicy): [World, World] => [
  { policy, secret: ALPHA as string, hidden: false },
  { policy, secret: ALPHA as string, hidden: true },
];
/** Each role as it comes; in transactions those that the table lets write in them. */
const ways = (roles: readonly string[]): (readonly [string, boolean])[] => [
  ...roles.map((role) => [role, false] as const),
  ...roles.filter((role) => WRITERS.has(role)).map((role) => [role, true] as const),
];
const WRITERS: ReadonlySet<string> = new Set([ROLE.bootstrap, ROLE.hub, ROLE.administrator]);
const EVERYBODY = ['anonymous', ...Object.values(ROLE), 'nobody'];

describe('secrets', () => {
  it('are told by these questions where nothing is secret', async () => {
    const told = new Set<string>();
    for (const channels of VALUE_CHANNELS) {
      const { tell, answers } = await difference(channels, 'administrator', false, secretsDiffer(OPEN));
      for (const { kind, name } of channels) if (tell.includes(name)) told.add(kind);
      expect(answers).toContain(BRAVO);
    }
    const wanted = VALUE_CHANNELS.flat().filter(({ tells }) => tells);
    expect([...new Set(wanted.map(({ kind }) => kind))].filter((kind) => !told.has(kind))).toEqual([]);
  });

  for (const [title, policy, roles] of [
    ['the edge', EDGE_ACCESS, EVERYBODY],
    ['the hub', HUB_ACCESS, ['anonymous', 'administrator', 'nobody']],
    ['a table that lets everybody write everything', WRITER, ['administrator', 'anonymous']],
  ] as const) {
    it.each(ways(roles))(
      `of ${title} are told to nobody: %s, in a transaction: %s`,
      async (role, inTransaction) => {
        const { tell, answers } = await difference(
          VALUE_CHANNELS.flat(),
          role,
          inTransaction,
          secretsDiffer(policy),
        );
        expect(tell).toEqual([]);
        expect(answers).not.toContain(BRAVO);
      },
    );
  }
});

describe('values that a role may not read', () => {
  const channels = [EARLIER, LATER].flatMap((value) =>
    channelsOfValue(
      'posternPendingDelete',
      POSTERN_ATTRIBUTE.posternPendingDelete,
      RECIPIENT,
      'cn=other,cn=Recipients',
      value,
    ),
  );
  const differ = (policy: AccessPolicy): [World, World] => [
    { policy, secret: ALPHA as string, hidden: false },
    { policy, secret: ALPHA as string, hidden: false, pending: LATER },
  ];

  it.each(ways(['anonymous', ROLE.localReader, ROLE.bootstrap, ROLE.waiting, 'nobody']))(
    'are not told to %s, in a transaction: %s',
    async (role, inTransaction) => {
      expect((await difference(channels, role, inTransaction, differ(EDGE_ACCESS))).tell).toEqual([]);
    },
  );

  it('are told to a hub, which may read them', async () => {
    expect((await difference(channels, ROLE.hub, false, differ(EDGE_ACCESS))).tell.length).toBeGreaterThan(
      20,
    );
  });
});

describe('entries that a role may not see', () => {
  it('are told by these questions where all are seen', async () => {
    const { tell } = await difference(ENTRY_CHANNELS, 'administrator', false, entriesDiffer(OPEN));
    expect(
      ENTRY_CHANNELS.filter(({ name, tells }) => tells && !tell.includes(name)).map((c) => c.name),
    ).toEqual([]);
  });

  it.each(ways(['anonymous', ROLE.localReader, ROLE.bootstrap, ROLE.waiting, 'nobody']))(
    'do not exist for %s, in a transaction: %s',
    async (role, inTransaction) => {
      const { tell } = await difference(ENTRY_CHANNELS, role, inTransaction, entriesDiffer(EDGE_ACCESS));
      expect(tell).toEqual([]);
    },
  );
});
