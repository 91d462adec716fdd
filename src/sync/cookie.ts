/** The cookie as it is stored: the source's own position, bound to everything it depends on. */
import { createHash } from 'node:crypto';
import { ADDRESS_NORMALISER_VERSION } from '../directory/address/address.ts';
import type { FeedIdentity } from './source/source.ts';

const VERSION = 1;
/** Raised whenever the mapping code would map the same source entry differently. */
export const MAPPING_VERSION = 1;

/** version (1 byte) || SHA-256 of the feed's identity and of the versions of mapping and normaliser (16 bytes) || native cookie. */
export function packCookie(identity: FeedIdentity, native: Buffer): Buffer {
  return Buffer.concat([Buffer.from([VERSION]), identityDigest(identity), native]);
}

/** The native cookie, or undefined when `stored` was made under other circumstances and so is worth nothing. */
export function unpackCookie(identity: FeedIdentity, stored: Buffer | undefined): Buffer | undefined {
  if (stored === undefined || stored.length < 17 || stored[0] !== VERSION) return undefined;
  return stored.subarray(1, 17).equals(identityDigest(identity)) ? stored.subarray(17) : undefined;
}

function identityDigest(identity: FeedIdentity): Buffer {
  const fields = [
    MAPPING_VERSION,
    ADDRESS_NORMALISER_VERSION,
    identity.kind,
    identity.instance,
    identity.base,
    identity.filter,
    [...identity.attributes].sort(),
    identity.bindIdentity,
    identity.mapping,
  ];
  return createHash('sha256').update(JSON.stringify(fields)).digest().subarray(0, 16);
}
