/**
 * From what should be and what is to the steps between them. Pure. Only what bears our prefix, or lies between two addresses that we protect and
 * is unknown to charon, is ever touched.
 *
 * The order is part of the answer: leftovers go before traps are loaded; a connection goes before its associations (terminated first, the peer's
 * trap or our own would make them again at once); keys go last.
 */
import type { IkeAssociation } from '../../vici/association.ts';
import { type DesiredConnection, type DesiredState, OUR_PREFIX } from '../desired.ts';
import type { ActualState } from './actual.ts';
import { bypassRecordOf, type LoadedRecord, recordOf } from './connection-message.ts';
import type { KernelAssociation, KernelPolicy } from './kernel.ts';
import { leftovers } from './leftovers.ts';
import type { Memory } from './memory.ts';
import type { ServiceNames } from './selector-text.ts';

export type Step =
  | { readonly do: 'delete-association'; readonly association: KernelAssociation }
  | { readonly do: 'delete-policy'; readonly policy: KernelPolicy }
  | { readonly do: 'load-key'; readonly keyId: string }
  | { readonly do: 'unload-key'; readonly keyId: string }
  | { readonly do: 'load'; readonly name: string; readonly record: LoadedRecord; readonly why: LoadReason }
  | { readonly do: 'unload'; readonly name: string }
  | {
      readonly do: 'terminate';
      readonly connection: string;
      readonly ikeId: number;
      readonly why: TerminateReason;
    }
  | { readonly do: 'install-trap'; readonly connection: string; readonly child: string }
  | { readonly do: 'initiate'; readonly connection: string; readonly child: string };

/** `unsure`: charon may hold something else under the name; it keeps everything when it turns out to be the same. */
export type LoadReason = 'new' | 'changed' | 'altered' | 'unsure';
export type TerminateReason = 'removed' | 'pin-removed' | 'changed' | 'unknown-pins' | 'lost';

export interface DiffOptions {
  /** Nothing was loaded in this session with charon yet. */
  readonly fresh: boolean;
  /** Whether a connection may be called now: a peer that did not answer is given time. */
  readonly mayInitiate: (connection: string) => boolean;
  /** What `list-conns` showed after we had loaded a connection; undefined when not known. */
  readonly echo: (connection: string) => string | undefined;
  readonly serviceNames: ServiceNames;
  /** IKE_SAs whose children the kernel has no more (`lost.ts`). */
  readonly lost: ReadonlySet<number>;
}

export function diff(
  desired: DesiredState,
  actual: ActualState,
  memory: Memory,
  options: DiffOptions,
): Step[] {
  const wanted = new Map<string, LoadedRecord>([
    ...desired.bypasses.map((bypass) => [bypass.name, bypassRecordOf(bypass)] as const),
    ...desired.connections.map((connection) => [connection.name, recordOf(connection)] as const),
  ]);
  const loads = [...wanted].flatMap(([name, record]): Extract<Step, { do: 'load' }>[] => {
    const why = loadReason(name, record, actual, memory, options);
    return why === undefined ? [] : [{ do: 'load', name, record, why }];
  });
  const terminations = actual.associations.flatMap((association) => {
    const why = terminateReason(association, wanted.get(association.connection), memory, options.lost);
    return why === undefined
      ? []
      : [{ do: 'terminate' as const, connection: association.connection, ikeId: association.id, why }];
  });
  const gone = new Set(terminations.map(({ ikeId }) => ikeId));
  const loading = new Set(loads.map(({ name }) => name));
  const staying = actual.associations.filter(({ id }) => !gone.has(id));
  return [
    ...leftovers(desired, actual, memory, options.serviceNames),
    ...keysToLoad(desired, actual),
    ...namesToUnload(wanted, actual),
    ...loads,
    ...terminations,
    ...desired.connections.flatMap((connection) =>
      loading.has(connection.name) ? [] : missingTraps(connection, actual),
    ),
    ...desired.connections.flatMap((connection) =>
      options.mayInitiate(connection.name) ? toInitiate(connection, staying, terminations) : [],
    ),
    ...keysToUnload(desired, actual, memory),
  ];
}

function loadReason(
  name: string,
  record: LoadedRecord,
  actual: ActualState,
  memory: Memory,
  options: DiffOptions,
): LoadReason | undefined {
  if (!actual.names.has(name)) return 'new';
  const known = memory.connections[name];
  if (known !== undefined && known.digest !== record.digest) return 'changed';
  if (options.fresh || known === undefined) return 'unsure';
  const echo = options.echo(name);
  const seen = actual.connections?.get(name);
  return echo !== undefined && actual.connections !== undefined && echoOf(seen) !== echo
    ? 'altered'
    : undefined;
}

/** What charon shows of a connection, to be compared with what it showed before. */
export const echoOf = (shown: { readonly settings: unknown } | undefined): string =>
  JSON.stringify(shown?.settings ?? null);

function terminateReason(
  association: IkeAssociation,
  wanted: LoadedRecord | undefined,
  memory: Memory,
  lost: ReadonlySet<number>,
): TerminateReason | undefined {
  if (!association.connection.startsWith(OUR_PREFIX)) return undefined;
  if (wanted === undefined) return 'removed';
  const known = memory.connections[association.connection];
  if (known === undefined) return 'unknown-pins';
  if (known.pins.some((pin) => !wanted.pins.includes(pin))) return 'pin-removed';
  if (known.material !== wanted.material) return 'changed';
  return lost.has(association.id) ? 'lost' : undefined;
}

function keysToLoad(desired: DesiredState, actual: ActualState): Step[] {
  return desired.keys
    .filter(({ keyId }) => !actual.keys.has(keyId))
    .map(({ keyId }) => ({ do: 'load-key', keyId }));
}

function keysToUnload(desired: DesiredState, actual: ActualState, memory: Memory): Step[] {
  const wanted = new Set(desired.keys.map(({ keyId }) => keyId));
  return memory.keys
    .filter((keyId) => actual.keys.has(keyId) && !wanted.has(keyId))
    .map((keyId) => ({ do: 'unload-key', keyId }));
}

function namesToUnload(wanted: ReadonlyMap<string, unknown>, actual: ActualState): Step[] {
  return [...actual.names]
    .filter((name) => name.startsWith(OUR_PREFIX) && !wanted.has(name))
    .map((name) => ({ do: 'unload', name }));
}

function missingTraps(connection: DesiredConnection, actual: ActualState): Step[] {
  const installed = new Set(
    actual.policies.filter((policy) => policy.connection === connection.name).map(({ child }) => child),
  );
  return connection.children
    .filter(({ name }) => !installed.has(name))
    .map(({ name }) => ({ do: 'install-trap', connection: connection.name, child: name }));
}

/** The first child opens the IKE_SA; only when it stands do others follow in it, since two at once would make two of them. */
function toInitiate(
  connection: DesiredConnection,
  staying: readonly IkeAssociation[],
  terminations: readonly { readonly connection: string; readonly why: TerminateReason }[],
): Step[] {
  const step = (child: string): Step => ({ do: 'initiate', connection: connection.name, child });
  const [first, ...others] = connection.children;
  const ours = staying.filter((association) => association.connection === connection.name);
  const replaced = terminations.some((one) => one.connection === connection.name);
  const starts = connection.children.some(({ startAction }) => startAction === 'start');
  if (first === undefined || (!starts && !replaced)) return [];
  const up = new Set(
    ours.flatMap(({ children }) => children.filter(({ state }) => isUp(state)).map(({ name }) => name)),
  );
  if (!up.has(first.name)) {
    const under = ours.some(({ state }) => state === 'CREATED' || state === 'CONNECTING');
    return under ? [] : [step(first.name)];
  }
  return others
    .filter(({ name, startAction }) => startAction === 'start' && !up.has(name))
    .map(({ name }) => step(name));
}

/** A CHILD_SA that carries traffic. */
export const isUp = (state: string): boolean =>
  state === 'INSTALLED' || state === 'REKEYING' || state === 'UPDATING' || state === 'INSTALLING';
