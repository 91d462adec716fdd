/**
 * A directory in a process of its own, for tests that attack it: `fork` it with one JSON argument (`HostileOptions`). Says where it listens, then answers
 * every message with how it is. `local` serves a local mail server's rights and limits, `edge` is TLS for strangers.
 */
import { readFileSync } from 'node:fs';
import process, { argv } from 'node:process';
import { systemClock } from '../../src/base/clock.ts';
import { createLog } from '../../src/base/log.ts';
import { systemRandom } from '../../src/base/random.ts';
import { Directory, resultOf } from '../../src/directory/directory.ts';
import { DirectoryServer, READER_LIMITS, TRUSTED_LIMITS } from '../../src/directory/server.ts';
import { createMemoryStore } from '../../src/directory/store/store.ts';
import { LdapListener } from '../../src/ldap/server.ts';
import type { ListenerLimits } from '../../src/ldap/server-limits.ts';
import { addition } from './served-directory.ts';

export interface HostileOptions {
  readonly people: number;
  readonly limits: Partial<ListenerLimits>;
  /** Files in PEM. */
  readonly certificate: string;
  readonly key: string;
}

export interface HostileState {
  /** Octets after a collection of garbage. */
  readonly heap: number;
  readonly rss: number;
  readonly connections: number;
  readonly handshakes: number;
  readonly refused: number;
  /** Passwords looked at. */
  readonly judged: number;
  readonly logLines: number;
  /** Sessions of the directory. */
  readonly sessions: number;
}

const BASE = 'dc=example,dc=org';
const options = JSON.parse(argv[2] ?? '{}') as HostileOptions;
let judged = 0;
let logLines = 0;
const log = createLog({ write: () => void logLines++, clock: systemClock });
const directory = new Directory({
  store: createMemoryStore(),
  clock: systemClock,
  random: systemRandom,
  log,
  contexts: [BASE],
  access: {
    rules: [
      { roles: ['reader', 'administrator'], subtree: '', rights: ['search', 'read', 'compare'] },
      { roles: ['administrator'], subtree: '', rights: ['write', 'add', 'delete', 'rename'] },
    ],
    secrets: [],
  },
  hooks: {
    authenticate({ name, authentication }) {
      judged++;
      return authentication.kind === 'simple' && authentication.password.toString() === 'right'
        ? { identity: { role: 'administrator', authorizationId: `dn:${name}`, dn: name } }
        : { result: resultOf('invalidCredentials') };
    },
  },
});
await directory.apply([addition(BASE, { objectClass: ['domain'] })]);
for (let from = 0; from < options.people; from += 1000) {
  await directory.apply(
    Array.from({ length: Math.min(1000, options.people - from) }, (_, n) =>
      addition(`cn=p${from + n},${BASE}`, {
        objectClass: ['inetOrgPerson'],
        sn: [`surname ${from + n}`],
        description: [`about number ${from + n}, at some length`],
      }),
    ),
  );
}
const reader = { role: 'reader', authorizationId: '', dn: '' };
const local = new DirectoryServer({
  directory,
  initialIdentity: () => reader,
  limits: ({ identity }) => (identity.role === 'reader' ? READER_LIMITS : TRUSTED_LIMITS),
});
const edge = new DirectoryServer({ directory });
const shared = { clock: systemClock, log, limits: options.limits };
const listeners = [
  new LdapListener({ ...shared, address: { host: '127.0.0.1', port: 0 }, accept: local.accept }),
  new LdapListener({
    ...shared,
    address: { host: '127.0.0.1', port: 0 },
    tls: {
      identity: {
        certificate: readFileSync(options.certificate, 'utf8'),
        key: readFileSync(options.key, 'utf8'),
      },
    },
    accept: edge.accept,
  }),
];
for (const listener of listeners) await listener.start();

const sum = (of: (listener: LdapListener) => number): number =>
  listeners.reduce((total, listener) => total + of(listener), 0);

process.on('message', () => {
  // Twice: what finalizers let go is collected the second time.
  globalThis.gc?.();
  globalThis.gc?.();
  const { heapUsed, external, rss } = process.memoryUsage();
  const state: HostileState = {
    heap: heapUsed + external,
    rss,
    connections: sum(({ counts }) => counts.connections),
    handshakes: sum(({ counts }) => counts.handshakes),
    refused: sum(({ counts }) => counts.refused),
    judged,
    logLines,
    sessions: directory.sessions.size,
  };
  // Whoever asked may be gone.
  process.send?.({ state }, undefined, undefined, () => undefined);
});
process.once('disconnect', () => process.exit());
process.send?.({ ports: listeners.map(({ port }) => port) });
