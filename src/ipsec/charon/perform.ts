/**
 * Does what `diff` says, step by step. One that charon refuses does not keep the others from being done: whatever it concerns stays as it was.
 * When charon itself goes away the rest is left, since all of it will be looked at again.
 */
import { isPosternError, PosternError } from '../../base/error.ts';
import {
  installTrap,
  initiate,
  loadConnection,
  loadKey,
  terminate,
  unloadConnection,
  unloadKey,
} from '../../vici/command.ts';
import type { ViciCaller } from '../../vici/connection.ts';
import type { DesiredState } from '../desired.ts';
import { bypassMessage, connectionMessage, type LoadedRecord } from './connection-message.ts';
import type { Step } from './diff.ts';
import type { XfrmKernel } from './kernel.ts';
import { type Memory, MOST_PAIRS } from './memory.ts';

export interface Failure {
  readonly step: Step;
  readonly error: PosternError;
}

export interface PerformOptions {
  readonly charon: ViciCaller;
  readonly kernel: XfrmKernel;
  readonly desired: DesiredState;
}

/** Rejects only when charon has gone: `vici.closed`, `vici.unreachable`, `vici.timeout`. */
export async function perform(steps: readonly Step[], options: PerformOptions): Promise<Failure[]> {
  const act = performer(options);
  const failures: Failure[] = [];
  for (const step of steps) {
    try {
      await act(step);
    } catch (cause) {
      if (isPosternError(cause, 'vici.closed', 'vici.unreachable', 'vici.timeout')) throw cause;
      const error =
        cause instanceof PosternError
          ? cause
          : new PosternError('internal', 'a step failed unexpectedly', { cause });
      failures.push({ step, error });
    }
  }
  return failures;
}

function performer({ charon, kernel, desired }: PerformOptions): (step: Step) => Promise<unknown> {
  const keys = new Map(desired.keys.map((key) => [key.keyId, key.privateKey]));
  const messages = new Map([
    ...desired.bypasses.map((bypass) => [bypass.name, () => bypassMessage(bypass)] as const),
    ...desired.connections.map(
      (connection) => [connection.name, () => connectionMessage(connection)] as const,
    ),
  ]);
  return async (step) => {
    switch (step.do) {
      case 'delete-association':
        return kernel.deleteAssociation(step.association);
      case 'delete-policy':
        return kernel.deletePolicy(step.policy);
      case 'load-key': {
        const key = keys.get(step.keyId);
        if (key === undefined) throw new PosternError('internal', 'a key to be loaded is not there');
        const loaded = await loadKey(charon, key);
        if (loaded === step.keyId) return undefined;
        await unloadKey(charon, loaded);
        throw new PosternError('certificate.invalid', 'a private key is not the one of its certificate', {
          fields: { expected: step.keyId, found: loaded },
        });
      }
      case 'unload-key':
        return unloadKey(charon, step.keyId);
      case 'load':
        return loadConnection(charon, step.name, messages.get(step.name)?.() ?? {});
      case 'unload':
        return unloadConnection(charon, step.name);
      case 'terminate':
        // Without waiting for the peer: it may be dead, and its answer changes nothing.
        return terminate(charon, { ikeId: step.ikeId, force: true, timeoutMs: 0 });
      case 'install-trap':
        return installTrap(charon, step.connection, step.child);
      case 'initiate':
        // Without waiting: what comes of it is seen in the associations, and a thousand peers may be dead at once.
        return initiate(charon, { connection: step.connection, child: step.child, timeoutMs: -1 });
    }
  };
}

/**
 * What must be on the disk before the steps are done: pins of the past and of the future both count until associations made with the former
 * ones are surely gone.
 */
export function memoryBefore(memory: Memory, steps: readonly Step[], desired: DesiredState): Memory {
  const connections: Record<string, LoadedRecord> = { ...memory.connections };
  for (const step of steps) {
    if (step.do !== 'load') continue;
    const known = memory.connections[step.name];
    connections[step.name] =
      known === undefined
        ? { ...step.record, digest: '' }
        : { ...known, digest: '', pins: [...new Set([...known.pins, ...step.record.pins])].sort() };
  }
  const keys = steps.flatMap((step) => (step.do === 'load-key' ? [step.keyId] : []));
  const pairs = new Map(
    [
      ...memory.pairs,
      ...desired.connections.flatMap(({ local, remote }) =>
        local.addresses.flatMap((own) => remote.addresses.map((peer) => ({ local: own, remote: peer }))),
      ),
    ].map((pair) => [`${pair.local} ${pair.remote}`, pair]),
  );
  return {
    connections,
    keys: [...new Set([...memory.keys, ...keys])],
    pairs: [...pairs.values()].slice(-MOST_PAIRS),
  };
}

/** After the steps: where one has failed, what was before stays remembered beside what is. */
export function memoryAfter(
  before: Memory,
  steps: readonly Step[],
  failures: readonly Failure[],
  desired: DesiredState,
): Memory {
  const failed = new Set(failures.map(({ step }) => step));
  const uncertain = new Set(
    failures.flatMap(({ step }) =>
      step.do === 'load' ? [step.name] : step.do === 'terminate' ? [step.connection] : [],
    ),
  );
  const wanted = new Set([...desired.connections, ...desired.bypasses].map(({ name }) => name));
  const connections: Record<string, LoadedRecord> = Object.fromEntries(
    Object.entries(before.connections).filter(([name]) => wanted.has(name) || uncertain.has(name)),
  );
  let keys = before.keys;
  for (const step of steps) {
    if (failed.has(step)) continue;
    if (step.do === 'load' && !uncertain.has(step.name)) connections[step.name] = step.record;
    else if (step.do === 'unload-key') keys = keys.filter((keyId) => keyId !== step.keyId);
  }
  return { ...before, connections, keys };
}

/** Whether the steps change what must be remembered. */
export const isRemembered = (step: Step): boolean =>
  step.do === 'load' || step.do === 'unload' || step.do === 'load-key' || step.do === 'unload-key';

/** A step in words, for plans and logs. */
export function describeStep(step: Step): string {
  switch (step.do) {
    case 'delete-association':
      return `delete an association that charon does not know (${step.association.source} to ${step.association.destination}, SPI ${step.association.spi})`;
    case 'delete-policy':
      return `delete a policy that charon does not know (${step.policy.source} to ${step.policy.destination}, ${step.policy.direction})`;
    case 'load-key':
      return `load the key ${step.keyId}`;
    case 'unload-key':
      return `unload the key ${step.keyId}`;
    case 'load':
      return `load ${step.name} (${step.why})`;
    case 'unload':
      return `unload ${step.name}`;
    case 'terminate':
      return `end the IKE_SA ${step.ikeId} of ${step.connection} (${step.why})`;
    case 'install-trap':
      return `put back the trap ${step.child}`;
    case 'initiate':
      return `bring up ${step.child}`;
  }
}
