/**
 * Address keys of edges as hubs hand them to each other: sealed to the one, signed by the other. Whatever else stands among the values of an
 * object (somebody wrote it there) is passed over. Knows keys and pins, no topology.
 */
import { isPosternError } from '../../base/error.ts';
import { type Pin, samePin } from '../../certificate/pin.ts';
import {
  type AddressKey,
  type AddressKeyRecord,
  createAddressKeyRecord,
  decodeAddressKeyRecord,
  openAddressKeyRecord,
  verifyAddressKeyRecord,
} from '../../credential/address-key.ts';
import type { HubNode } from '../../credential/issue.ts';
import type { SealingRecipient } from '../../credential/record.ts';

/**
 * Records that a trusted hub has sealed to this key, the newest first: an edge that was subscribed anew has a new key, and the old one may be left.
 * With `ids`, of these keys only.
 */
export function usableKeys(
  records: readonly Uint8Array[],
  roots: readonly Pin[],
  sealedTo: Pin | readonly Pin[],
  ids?: ReadonlySet<string>,
): AddressKeyRecord[] {
  const recipients = typeof sealedTo === 'string' ? [sealedTo] : sealedTo;
  const usable = records.flatMap((bytes) => {
    const record = unlessUnusable(() => decodeAddressKeyRecord(bytes));
    if (record === undefined || !recipients.some((pin) => samePin(record.sealedTo, pin))) return [];
    if (ids?.has(record.keyId) === false) return [];
    return unlessUnusable(() => (verifyAddressKeyRecord(record, roots), record)) ?? [];
  });
  return usable.sort((a, b) => b.createdAt - a.createdAt);
}

/** The key of this id, from the first record that holds it; undefined when none does. Erase it after use. */
export async function openKey(
  records: readonly AddressKeyRecord[],
  keyId: string,
  hub: HubNode,
): Promise<AddressKey | undefined> {
  for (const record of records) {
    if (record.keyId !== keyId) continue;
    try {
      return await openAddressKeyRecord(record, hub.sealingKeys);
    } catch (error) {
      if (!isPosternError(error)) throw error;
    }
  }
  return undefined;
}

/** Those of `wanted` that `own` holds, sealed to another hub. */
export async function resealKeys(
  own: readonly AddressKeyRecord[],
  wanted: ReadonlySet<string>,
  recipient: SealingRecipient,
  hub: HubNode,
): Promise<Buffer[]> {
  const sealed: Buffer[] = [];
  for (const keyId of wanted) {
    const record = own.find((one) => one.keyId === keyId);
    const opened = await openKey(own, keyId, hub);
    if (record === undefined || opened === undefined) continue;
    const named = { fqdn: record.edgeFqdn, createdAt: record.createdAt };
    sealed.push(await createAddressKeyRecord(opened, named, recipient, hub.identity));
    opened.key.erase();
  }
  return sealed;
}

function unlessUnusable<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (isPosternError(error)) return undefined;
    throw error;
  }
}
