/**
 * The edge's directory as a process: the very services, hooks, access table and local listeners of the edge daemon, without a subscription.
 * What a hub brings is put in place here: an address key and the state "complete". Two more listeners with TLS let the benchmark at it: one
 * for local readers, one for a role that may write recipients one by one (a hub may only in transactions, under the lease).
 *
 *   node edge-main.ts FOLDER KEY PLAIN LDAPS SOCKETMAP TLS-READER TLS-WRITER CERTIFICATE PRIVATE-KEY
 */
import { readFileSync } from 'node:fs';
import { formatGeneralizedTime } from '../../src/asn1/time.ts';
import { Secret } from '../../src/base/secret.ts';
import { type EdgeConfig, edgeConfigSchema } from '../../src/config/edge-config.ts';
import { addressKeyId } from '../../src/credential/address-key.ts';
import { DEFAULT_PASSWORD_POLICY } from '../../src/credential/password.ts';
import { EDGE_ACCESS, ROLE } from '../../src/daemon/edge/access.ts';
import { startListeners } from '../../src/daemon/edge/listeners.ts';
import { openEdgeServices } from '../../src/daemon/edge/services.ts';
import { type DaemonParts, runDaemon } from '../../src/daemon/frame.ts';
import { keepNurserySmall } from '../../src/daemon/nursery.ts';
import type { AccessRule, Directory } from '../../src/directory/directory.ts';
import { DirectoryServer, READER_LIMITS, TRUSTED_LIMITS } from '../../src/directory/server.ts';
import { LdapListener } from '../../src/ldap/server.ts';
import { openEdgeNode } from '../../src/subscription/node.ts';

const [
  folder = '',
  key = '',
  plain,
  ldaps,
  socketmap,
  tlsReader,
  tlsWriter,
  certificateFile = '',
  keyFile = '',
] = process.argv.slice(2);
const WRITER = 'benchWriter';

const config: EdgeConfig = edgeConfigSchema.parse({
  name: 'edge1',
  fqdn: 'edge1.localhost',
  data: folder,
  listen: {
    ldaps: `127.0.0.1:${ldaps}`,
    ldap: [`127.0.0.1:${plain}`],
    socketmap: [`127.0.0.1:${socketmap}`],
  },
  log: { level: 'warn' },
});

async function start(parts: DaemonParts): Promise<void> {
  const { files, clock, random, log, lifecycle } = parts;
  const node = await openEdgeNode({
    files,
    clock,
    random,
    log,
    folder,
    fqdn: config.fqdn,
    foreign: undefined,
  });
  const trust = node.store;
  lifecycle.add('trust store', () => trust.close());
  const secret = new Secret(Buffer.from(key, 'hex'));
  await trust.update((draft) => ({
    ...draft,
    addressKey: { id: addressKeyId(secret), key: secret, createdAt: clock.now(), recordId: '' },
  }));
  (EDGE_ACCESS.rules as AccessRule[]).push({
    roles: [WRITER],
    subtree: 'cn=Recipients',
    scope: 'children',
    rights: ['search', 'compare', 'read', 'write', 'add', 'delete'],
  });
  const edge = {
    name: config.name,
    fqdn: config.fqdn,
    port: undefined,
    identity: node.identity,
    sealingStatement: Buffer.from(trust.value.sealingStatement),
    policy: DEFAULT_PASSWORD_POLICY,
    productVersion: 'bench',
  };
  const services = await openEdgeServices(config, edge, node, parts);
  const { directory, lookups } = services;
  await directory.apply(['recipients', 'domains'].map((kind) => loaded(kind, clock.now())));
  await startListeners(
    { config, ...services, identity: () => node.identity, tables: lookups.tables(), clock, log },
    lifecycle,
  );
  for (const [port, role, limits] of [
    [tlsReader, ROLE.localReader, READER_LIMITS],
    [tlsWriter, WRITER, TRUSTED_LIMITS],
  ] as const)
    await listen(directory, Number(port), role, limits, parts);
  process.stdout.write('ready\n');
}

async function listen(
  directory: Directory,
  port: number,
  role: string,
  limits: typeof READER_LIMITS,
  { clock, log, lifecycle }: DaemonParts,
): Promise<void> {
  const identity = { role, dn: '', authorizationId: '' };
  const server = new DirectoryServer({ directory, initialIdentity: () => identity, limits: () => limits });
  const listener = new LdapListener({
    address: { host: '127.0.0.1', port },
    tls: {
      identity: {
        certificate: readFileSync(certificateFile, 'utf8'),
        key: readFileSync(keyFile, 'utf8'),
      },
    },
    clock,
    log,
    accept: server.accept,
  });
  await listener.start();
  lifecycle.add('bench', () => listener.stop());
}

function loaded(kind: string, now: number) {
  const values = { posternLoadState: 'complete', posternLastConfirmed: formatGeneralizedTime(now) };
  return {
    request: {
      op: 'modifyRequest',
      dn: `cn=${kind},cn=Sync`,
      changes: Object.entries(values).map(([type, value]) => ({
        kind: 'replace' as const,
        attribute: { type, values: [Buffer.from(value)] },
      })),
    },
  } as const;
}

const stop = new AbortController();
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.abort());
process.stdin.on('end', () => process.exit(1)).resume();
keepNurserySmall();
await runDaemon('edge', config, stop.signal, start);
process.exit();
