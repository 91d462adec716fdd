/**
 * charon's commands as functions, for strongSwan 5.9.8 to 6.x. Each takes a connection or a session; what charon refuses rejects with
 * `vici.refused` and charon's own words. What is somebody else's is not known here: the callers name what they mean.
 */
import { PosternError } from '../base/error.ts';
import type { Secret } from '../base/secret.ts';
import { type IkeAssociation, readAssociations } from './association.ts';
import type { CallOptions, ViciCaller } from './connection.ts';
import type { ViciSection, ViciTree } from './message.ts';
import {
  bytesOf,
  listOf,
  numberOf,
  plain,
  type PlainSection,
  sectionOf,
  sectionsOf,
  textOf,
} from './section.ts';

export interface DaemonVersion {
  readonly daemon: string;
  /** Of strongSwan: `5.9.8`. */
  readonly version: string;
  readonly system: string;
}

export async function getVersion(charon: ViciCaller): Promise<DaemonVersion> {
  const answer = await charon.call('version');
  const parts = ['sysname', 'release', 'machine'].map((key) => textOf(answer, key));
  return {
    daemon: textOf(answer, 'daemon') ?? '',
    version: textOf(answer, 'version') ?? '',
    system: parts.filter((part) => part !== undefined).join(' '),
  };
}

export interface DaemonStats {
  /** When charon was started, as it writes it: another text is another charon. */
  readonly since: string;
  readonly plugins: readonly string[];
  readonly ikeAssociations: number;
  readonly halfOpen: number;
  readonly workers: { readonly total: number; readonly idle: number };
}

export async function getStats(charon: ViciCaller): Promise<DaemonStats> {
  const answer = await charon.call('stats');
  const [ike, workers] = [sectionOf(answer, 'ikesas'), sectionOf(answer, 'workers')];
  return {
    since: textOf(sectionOf(answer, 'uptime'), 'since') ?? '',
    plugins: listOf(answer, 'plugins'),
    ikeAssociations: numberOf(ike, 'total') ?? 0,
    halfOpen: numberOf(ike, 'half-open') ?? 0,
    workers: { total: numberOf(workers, 'total') ?? 0, idle: numberOf(workers, 'idle') ?? 0 },
  };
}

/** Reads strongswan.conf again: for every user of this charon. */
export async function reloadSettings(charon: ViciCaller): Promise<void> {
  await demand(charon, 'reload-settings');
}

/** Loads a connection, or replaces the one of the same name. charon keeps associations of children that stay as they are. */
export async function loadConnection(charon: ViciCaller, name: string, settings: ViciTree): Promise<void> {
  await demand(charon, 'load-conn', { [name]: settings });
}

export async function unloadConnection(charon: ViciCaller, name: string): Promise<void> {
  await demand(charon, 'unload-conn', { name });
}

/** Names of the connections loaded by vici, other people's included. */
export async function getConnections(charon: ViciCaller): Promise<string[]> {
  return listOf(await charon.call('get-conns'), 'conns');
}

/** Resolves to charon's name of the key: hexadecimal SHA-1 of the subjectPublicKey. */
export async function loadKey(charon: ViciCaller, pem: Secret): Promise<string> {
  const answer = await demand(charon, 'load-key', { type: 'any', data: pem.reveal() });
  return (textOf(answer, 'id') ?? '').toLowerCase();
}

export async function unloadKey(charon: ViciCaller, keyId: string): Promise<void> {
  await demand(charon, 'unload-key', { id: keyId });
}

/** Names of the private keys loaded by vici, other people's included. */
export async function getKeys(charon: ViciCaller): Promise<string[]> {
  return listOf(await charon.call('get-keys'), 'keys').map((id) => id.toLowerCase());
}

/** A certificate for everybody on this charon; pinned ones belong into a connection instead. */
export async function loadCertificate(
  charon: ViciCaller,
  certificate: Uint8Array | string,
  flag: 'NONE' | 'CA' = 'NONE',
): Promise<void> {
  await demand(charon, 'load-cert', { type: 'X509', flag, data: certificate });
}

/** Takes the keys, certificates and secrets of *everybody* who loaded them by vici. Not for use on a charon that is shared. */
export async function clearCredentials(charon: ViciCaller): Promise<void> {
  await demand(charon, 'clear-creds');
}

export interface LoadedConnection {
  readonly name: string;
  readonly settings: PlainSection;
}

/** All connections that charon knows, wherever they come from. */
export async function* listConnections(charon: ViciCaller, name?: string): AsyncGenerator<LoadedConnection> {
  for await (const message of charon.stream('list-conns', 'list-conn', { ike: name }))
    for (const [connection, section] of sectionsOf(message))
      yield { name: connection, settings: plain(section) };
}

export interface AssociationFilter {
  readonly connection?: string;
  readonly ikeId?: number;
  readonly child?: string;
  readonly childId?: number;
  /** Leave out what charon is working on just now, rather than wait for it: such a list proves no absence. */
  readonly noBlock?: boolean;
}

export async function* listAssociations(
  charon: ViciCaller,
  filter: AssociationFilter = {},
): AsyncGenerator<IkeAssociation> {
  const message = {
    noblock: filter.noBlock === true ? true : undefined,
    ike: filter.connection,
    'ike-id': filter.ikeId,
    child: filter.child,
    'child-id': filter.childId,
  };
  for await (const event of charon.stream('list-sas', 'list-sa', message)) yield* readAssociations(event);
}

export interface LoadedPolicy {
  /** `connection/child`. */
  readonly name: string;
  readonly connection: string;
  readonly child: string;
  /** TRANSPORT, TUNNEL, BEET, PASS, DROP. */
  readonly mode: string;
  readonly localSelectors: readonly string[];
  readonly remoteSelectors: readonly string[];
}

/** Traps, bypasses and drops that charon keeps in the kernel. */
export async function* listPolicies(
  charon: ViciCaller,
  kinds: readonly ('trap' | 'pass' | 'drop')[] = ['trap', 'pass', 'drop'],
): AsyncGenerator<LoadedPolicy> {
  const message = Object.fromEntries(kinds.map((kind) => [kind, true]));
  for await (const event of charon.stream('list-policies', 'list-policy', message))
    for (const [name, section] of sectionsOf(event))
      yield {
        name,
        connection: textOf(section, 'ike') ?? '',
        child: textOf(section, 'child') ?? '',
        mode: textOf(section, 'mode') ?? '',
        localSelectors: listOf(section, 'local-ts'),
        remoteSelectors: listOf(section, 'remote-ts'),
      };
}

export interface LoadedCertificate {
  readonly type: string;
  readonly flag: string;
  readonly hasPrivateKey: boolean;
  readonly der: Buffer;
}

export async function* listCertificates(charon: ViciCaller): AsyncGenerator<LoadedCertificate> {
  for await (const event of charon.stream('list-certs', 'list-cert', { type: 'ANY', flag: 'ANY' }))
    yield {
      type: textOf(event, 'type') ?? '',
      flag: textOf(event, 'flag') ?? '',
      hasPrivateKey: textOf(event, 'has_privkey') === 'yes',
      der: Buffer.from(bytesOf(event, 'data') ?? []),
    };
}

/** Which algorithm comes from which plugin, by kind: `{ encryption: { AES_CBC: 'openssl' } }`. */
export async function getAlgorithms(charon: ViciCaller): Promise<PlainSection> {
  return plain(await charon.call('get-algorithms'));
}

/** charon's counters by connection; the name '' has those of all. Needs the counters plugin: else `vici.unsupported`. */
export async function getCounters(
  charon: ViciCaller,
): Promise<Map<string, Readonly<Record<string, number>>>> {
  const answer = await demand(charon, 'get-counters', { all: true });
  return new Map(
    sectionsOf(sectionOf(answer, 'counters')).map(([name, counters]) => [
      name,
      Object.fromEntries([...counters.keys()].map((key) => [key, numberOf(counters, key) ?? 0])),
    ]),
  );
}

export interface InitiateRequest {
  readonly connection: string;
  readonly child: string;
  /** How long charon waits for the result; 0 for ever. -1 not at all: then nothing tells of a failure but the absence of the association. */
  readonly timeoutMs: number;
}

/**
 * Resolves when the child is up, *or* when charon believes that one like it is ("existing duplicate"): only `listAssociations`
 * shows what is really there.
 */
export async function initiate(charon: ViciCaller, request: InitiateRequest): Promise<void> {
  const { connection: ike, child, timeoutMs } = request;
  await demand(charon, 'initiate', { ike, child, timeout: timeoutMs, loglevel: -1 }, patience(timeoutMs));
}

export interface TerminateRequest {
  /** Exactly one of them. */
  readonly ikeId?: number;
  readonly childId?: number;
  readonly connection?: string;
  readonly child?: string;
  /** Do not wait for the peer's answer to the DELETE, or with a time above 0 only so long. */
  readonly force: boolean;
  /** 0: until the peer has answered (at once with `force`); -1: not at all. */
  readonly timeoutMs: number;
}

/** Resolves to how many were terminated; nothing to terminate is 0, not an error. */
export async function terminate(charon: ViciCaller, request: TerminateRequest): Promise<number> {
  const { ikeId, childId, connection, child, force, timeoutMs } = request;
  const message = {
    'ike-id': ikeId,
    'child-id': childId,
    ike: connection,
    child,
    force: force ? true : undefined,
    timeout: timeoutMs,
    loglevel: -1,
  };
  const answer = await charon.call('terminate', message, patience(timeoutMs));
  if (numberOf(answer, 'matches') === 0) return 0;
  return numberOf(expectSuccess('terminate', answer), 'terminated') ?? 0;
}

export interface RekeyRequest {
  readonly ikeId?: number;
  readonly childId?: number;
  readonly connection?: string;
  readonly child?: string;
}

/** Asks for new keys; resolves to how many associations matched. */
export async function rekey(charon: ViciCaller, request: RekeyRequest): Promise<number> {
  const { ikeId, childId, connection, child } = request;
  const message = { 'ike-id': ikeId, 'child-id': childId, ike: connection, child };
  return numberOf(await demand(charon, 'rekey', message), 'matches') ?? 0;
}

/** Puts a child's trap into the kernel. */
export async function installTrap(charon: ViciCaller, connection: string, child: string): Promise<void> {
  await demand(charon, 'install', { ike: connection, child });
}

export async function uninstallTrap(charon: ViciCaller, connection: string, child: string): Promise<void> {
  await demand(charon, 'uninstall', { ike: connection, child });
}

/** charon itself ends the wait; we wait a little longer, and without end where charon does. */
function patience(timeoutMs: number): CallOptions {
  if (timeoutMs < 0) return {};
  return { timeoutMs: timeoutMs === 0 ? 2 ** 31 - 1 : timeoutMs + 15_000 };
}

async function demand(
  charon: ViciCaller,
  command: string,
  message: ViciTree = {},
  options: CallOptions = {},
): Promise<ViciSection> {
  return expectSuccess(command, await charon.call(command, message, options));
}

function expectSuccess(command: string, answer: ViciSection): ViciSection {
  if (textOf(answer, 'success') === 'yes') return answer;
  const reason = textOf(answer, 'errmsg') ?? 'it gave no reason';
  throw new PosternError('vici.refused', `charon refused ${command}: ${reason}`, {
    hint: "charon's log has the details (journalctl -u strongswan)",
    fields: { command, reason },
  });
}
