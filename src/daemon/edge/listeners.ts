/** The doors of the edge: LDAPS for hubs, plain LDAP and socketmap for the mail server of this host, a unix socket for its administrator. */
import { join } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import type { Lifecycle } from '../../base/lifecycle.ts';
import type { Log } from '../../base/log.ts';
import { VERSION } from '../../base/version.ts';
import { type Identity, tlsCredentials } from '../../certificate/identity.ts';
import type { EdgeConfig } from '../../config/edge-config.ts';
import type { ListenAddress } from '../../config/field.ts';
import type { PairKeeper } from '../../credential/pair-keeper.ts';
import { ANONYMOUS_ROLE, type Directory, type Session } from '../../directory/directory.ts';
import { DirectoryServer, READER_LIMITS, STRANGER_LIMITS, TRUSTED_LIMITS } from '../../directory/server.ts';
import { EXTENDED } from '../../ldap/control.ts';
import { POSTERN_EXTENDED } from '../../ldap/postern-oid.ts';
import { LdapListener } from '../../ldap/server.ts';
import type { ServerIdentity } from '../../ldap/tls-server.ts';
import { SocketmapServer } from '../../lookup/socketmap-server.ts';
import type { SocketmapTable } from '../../lookup/socketmap-table.ts';
import type { EdgeTrustState } from '../../subscription/trust-state.ts';
import { ROLE } from './access.ts';
import { sessionAccount } from './authenticate.ts';
import type { Renewals } from './renewals.ts';

/** What the perimeter-facing port answers to whoever has no account, or one that is not effective yet: the root DSE, binds, and who this edge is now. */
const STRANGER_OPERATIONS = new Set<string>([
  'bindRequest',
  'unbindRequest',
  'abandonRequest',
  'searchRequest',
  EXTENDED.whoAmI,
  POSTERN_EXTENDED.identities,
]);
/** A hub binds at once, and waits for its answer at most twice the longest throttle. */
const STRANGER_TIMEOUT_MS = 60_000;
const STRANGERS = new Set<string>([ANONYMOUS_ROLE, ROLE.waiting, ROLE.restored]);

/** What it answers to hubs: what they need, and no more. */
const HUB_OPERATIONS = new Set<string>([
  'bindRequest',
  'unbindRequest',
  'abandonRequest',
  'searchRequest',
  'addRequest',
  'modifyRequest',
  'deleteRequest',
  'extendedRequest',
  EXTENDED.whoAmI,
  EXTENDED.startTransaction,
  EXTENDED.endTransaction,
  EXTENDED.cancel,
  ...Object.values(POSTERN_EXTENDED),
]);

export interface ListenersOptions {
  readonly config: EdgeConfig;
  readonly directory: Directory;
  /** Asked again after `onIdentity` has called. */
  readonly identity: () => Identity;
  readonly onIdentity: (show: () => void) => void;
  readonly pairs: PairKeeper<EdgeTrustState>;
  readonly renewals: Renewals;
  readonly tables: ReadonlyMap<string, SocketmapTable>;
  readonly clock: Clock;
  readonly log: Log;
}

/** Starts every listener; returns how many connections there are. */
export async function startListeners(options: ListenersOptions, lifecycle: Lifecycle): Promise<() => number> {
  const { config, directory, identity, clock, log } = options;
  const listeners: LdapListener[] = [];
  const start = async (listener: LdapListener, name: string): Promise<void> => {
    await listener.start();
    lifecycle.add(name, () => listener.stop());
    listeners.push(listener);
  };
  const shown = (): ServerIdentity => {
    const { key, cert } = tlsCredentials(identity());
    return { key: key.toString('utf8'), certificate: cert };
  };
  const hubs = new DirectoryServer({
    directory,
    vendorVersion: VERSION,
    allow: (operation, session) => mayAsk(operation, session, options),
    limits: ({ identity }) =>
      STRANGERS.has(identity.role)
        ? STRANGER_LIMITS
        : { ...TRUSTED_LIMITS, messageBytes: config.limits.message_bytes },
  });
  const perimeter = new LdapListener({
    address: ldapAddress(config.listen.ldaps),
    tls: { identity: shown() },
    limits: {
      connections: config.limits.connections,
      connectionsPerSource: config.limits.connections_per_source,
      strangerTimeoutMs: STRANGER_TIMEOUT_MS,
    },
    clock,
    log: log.child('ldaps'),
    accept: hubs.accept,
  });
  await start(perimeter, 'ldaps');
  options.onIdentity(() => perimeter.setIdentity(shown()));
  const reader = { role: ROLE.localReader, dn: '', authorizationId: '' };
  const local = new DirectoryServer({
    directory,
    vendorVersion: VERSION,
    initialIdentity: () => reader,
    limits: () => READER_LIMITS,
  });
  for (const address of config.listen.ldap) {
    await start(
      new LdapListener({
        address: ldapAddress(address),
        clock,
        log: log.child('ldap'),
        accept: local.accept,
      }),
      'ldap',
    );
  }
  // For whoever administers this host, and for followers (RFC 4533): its mode, and the data folder's, let nobody else in.
  const administrator = { role: ROLE.administrator, dn: '', authorizationId: `u:${ROLE.administrator}` };
  const inside = new DirectoryServer({
    directory,
    vendorVersion: VERSION,
    initialIdentity: () => administrator,
  });
  await start(
    new LdapListener({
      address: { path: join(config.data, 'ldapi'), mode: 0o600 },
      clock,
      log: log.child('ldapi'),
      accept: inside.accept,
    }),
    'ldapi',
  );
  const socketmap = new SocketmapServer({
    listen: config.listen.socketmap,
    tables: options.tables,
    clock,
    log: log.child('socketmap'),
  });
  await socketmap.start();
  lifecycle.add('socketmap', () => socketmap.stop());
  return () =>
    socketmap.connectionCount + listeners.reduce((sum, listener) => sum + listener.counts.connections, 0);
}

/** Whoever has shown a key that is pinned for a hub may hand over a credential, even where nothing else is left to it. */
function mayAsk(operation: string, session: Session, { pairs, renewals }: ListenersOptions): boolean {
  const { role } = session.identity;
  if (!STRANGERS.has(role)) {
    const account = role === ROLE.hub ? sessionAccount(session) : undefined;
    if (account?.esra !== undefined) pairs.heard(account.hub, account.esra.instance);
    return HUB_OPERATIONS.has(operation);
  }
  if (operation === POSTERN_EXTENDED.installCredential) return renewals.pinnedHub(session) !== undefined;
  if (operation === POSTERN_EXTENDED.retireCredential) return role === ROLE.restored;
  return STRANGER_OPERATIONS.has(operation);
}

function ldapAddress(
  address: ListenAddress,
): { host: string; port: number } | { path: string; mode: number } {
  return address.kind === 'tcp'
    ? { host: address.host, port: address.port }
    : { path: address.path, mode: address.mode };
}
