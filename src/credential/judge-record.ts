/**
 * Whether a credential record that reached the edge, in a push or in a hub's own request, is for this edge and from a hub that is admitted; and
 * opening it. What becomes of it then is decided in `lifecycle/`. Pure but for the keys and the salt that are handed in.
 */
import { type ErrorCode, isPosternError, PosternError } from '../base/error.ts';
import type { Random } from '../base/random.ts';
import { pinsOf } from '../certificate/peer-pins.ts';
import { type Pin, samePin } from '../certificate/pin.ts';
import type { SealingKeyPair } from '../certificate/sealing.ts';
import { sameFqdn, sameName } from './account-name.ts';
import { type AdmittedHub, findHub } from './credential-state.ts';
import type { AccountSecret } from './edge-pairs.ts';
import type { EdgeEvent } from './lifecycle/edge-pair.ts';
import { digestPassword, missingFromPolicy, type PasswordPolicy } from './password.ts';
import {
  type CredentialRecord,
  decodeCredentialRecord,
  openCredentialRecord,
  verifyCredentialRecord,
} from './record.ts';

/** This edge, as records must name it. */
export interface EdgeNames {
  readonly name: string;
  readonly fqdn: string;
  /** Its own pins: records sealed to the one before a rollover still open. */
  readonly pins: readonly Pin[];
}

export interface RefusedRecord {
  readonly verdict: 'refused';
  readonly code: ErrorCode;
  readonly reason: string;
  readonly userName?: string | undefined;
}

/** `read`: the names fit, nothing is proved yet. */
export type RecordReading =
  | {
      readonly verdict: 'read';
      readonly record: CredentialRecord;
      readonly number: number;
      readonly hub: AdmittedHub;
    }
  | RefusedRecord;

export function readRecord(
  bytes: Uint8Array,
  edge: EdgeNames,
  hubs: Readonly<Record<string, AdmittedHub>>,
): RecordReading {
  let record: CredentialRecord;
  try {
    record = decodeCredentialRecord(bytes);
  } catch (error) {
    if (isPosternError(error)) return { verdict: 'refused', code: error.code, reason: error.message };
    throw error;
  }
  const { account, userName } = record;
  const refuse = (reason: string): RefusedRecord => ({
    verdict: 'refused',
    code: 'credential.invalid',
    reason,
    userName,
  });
  if (account.kind !== 'esra') return refuse('a bootstrap credential makes no account here');
  if (!sameName(account.edge, edge.name) || !sameFqdn(record.targetServerFqdn, edge.fqdn))
    return refuse('it is for another edge');
  if (!edge.pins.some((pin) => samePin(pin, record.sealedTo))) return refuse('it is sealed to another node');
  const hub = findHub(hubs, account.hub);
  if (hub === undefined) return refuse(`hub ${account.hub} is not admitted`);
  if (!sameFqdn(record.sourceServerFqdn, hub.fqdn))
    return refuse(`it is for another host than that of hub ${hub.name}`);
  return { verdict: 'read', record, number: account.number, hub };
}

/** The event that a record is in a push; in a request it has more to it. */
export function recordEvent(
  record: CredentialRecord,
  number: number,
): Extract<EdgeEvent, { type: 'record' }> {
  const window = { effectiveAt: record.effectiveAt, expiresAt: record.expiresAt };
  return { type: 'record', number, window, recordId: record.id };
}

export interface RecordKeys {
  readonly sealingKeys: () => readonly SealingKeyPair[];
  readonly policy: PasswordPolicy;
  readonly random: Random;
}

/**
 * Proves that the hub issued the record, and opens it: what the account keeps of it. Throws `pin.mismatch`, `credential.invalid` for a signature or a
 * password that does not fit, `seal.open-failed`.
 */
export async function openRecord(
  record: CredentialRecord,
  hub: AdmittedHub,
  keys: RecordKeys,
): Promise<AccountSecret> {
  verifyCredentialRecord(record, pinsOf(hub.pins));
  const password = await openCredentialRecord(record, keys.sealingKeys());
  try {
    const missing = missingFromPolicy(password.revealText(), keys.policy);
    if (missing !== undefined) {
      throw new PosternError(
        'credential.invalid',
        `its password does not fit the policy of this edge: ${missing}`,
        { hint: 'publish the policy to the hubs' },
      );
    }
    return { name: record.userName, password: digestPassword(password, keys.random) };
  } finally {
    password.erase();
  }
}
