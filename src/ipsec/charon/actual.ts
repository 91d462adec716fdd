/** What charon and the kernel hold just now, read in an order in which nothing that is being made can look like a leftover. */
import { collect } from '../../vici/collect.ts';
import {
  getConnections,
  getKeys,
  listAssociations,
  listConnections,
  type LoadedConnection,
  type LoadedPolicy,
  listPolicies,
} from '../../vici/command.ts';
import type { IkeAssociation } from '../../vici/association.ts';
import type { ViciCaller } from '../../vici/connection.ts';
import type { KernelState } from './kernel.ts';

export interface ActualState {
  /** Of the connections that came by vici; only those can be taken away by it. */
  readonly names: ReadonlySet<string>;
  /** All that charon knows, other people's included; undefined when only a light look was taken. */
  readonly connections: ReadonlyMap<string, LoadedConnection> | undefined;
  readonly keys: ReadonlySet<string>;
  readonly associations: readonly IkeAssociation[];
  readonly policies: readonly LoadedPolicy[];
  /** Undefined when not looked at. */
  readonly kernel: KernelState | undefined;
}

export interface LookOptions {
  readonly charon: ViciCaller;
  /** Also what charon does not tell in a light look. */
  readonly connections: boolean;
  /** The kernel's tables, read just before; undefined when they are not wanted. */
  readonly kernel: KernelState | undefined;
}

/**
 * The kernel was looked at first; charon is asked afterwards, and in the way that waits for whatever it is working on: an association that was in
 * the kernel then and is unknown to charon now is a leftover, not one that is just being made.
 */
export async function look({ charon, connections, kernel }: LookOptions): Promise<ActualState> {
  const policies = await collect(listPolicies(charon));
  const associations = await collect(listAssociations(charon));
  const names = new Set(await getConnections(charon));
  const all = connections
    ? new Map((await collect(listConnections(charon))).map((connection) => [connection.name, connection]))
    : undefined;
  return {
    names,
    connections: all,
    keys: new Set(await getKeys(charon)),
    associations,
    policies,
    kernel,
  };
}
