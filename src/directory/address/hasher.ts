/**
 * Addresses at rest: HMAC-SHA-256 of the canonical spelling, cut to 128 bits. Owns the hash and the forms in which LDAP
 * clients assert an address; knows nothing of entries, indexes, or where the key is kept.
 */
import type { Secret } from '../../base/secret.ts';
import { parseAddress } from './address.ts';
import { createHmacSha256 } from './hmac.ts';

/** Length of a hashed address, bytes. */
export const ADDRESS_HASH_LENGTH = 16;

export interface AddressHasher {
  /** 16 bytes for a canonical spelling (`Address.canonical`): the caller has normalised it. */
  hash(canonical: string | Uint8Array): Buffer;
  /** Normalises, then hashes; `undefined` for what is no address. */
  hashAddress(address: string | Uint8Array): Buffer | undefined;
  /**
   * The hash of an assertion value of `mail`, `proxyAddresses` or `posternAddress`: an address, or one with the type prefix
   * `smtp:` in any case. `undefined` for other address types (X500:, SIP:) and for what is no address: it matches nothing.
   */
  hashAssertion(raw: Uint8Array): Buffer | undefined;
}

/** Takes a copy of `key` (any length; 32 bytes are usual). */
export function createAddressHasher(key: Secret): AddressHasher {
  const hash = createHmacSha256(key.reveal(), ADDRESS_HASH_LENGTH);
  const hashAddress = (input: string | Uint8Array): Buffer | undefined => {
    const address = parseAddress(input);
    return typeof address === 'string' ? undefined : hash(address.canonical);
  };
  return {
    hash,
    hashAddress,
    hashAssertion: (raw) => hashAddress(hasSmtpPrefix(raw) ? raw.subarray(5) : raw),
  };
}

/** "smtp:" in any case. A colon cannot stand in an unquoted local part, so this is never part of an address. */
function hasSmtpPrefix(raw: Uint8Array): boolean {
  return (
    raw.length > 5 &&
    raw[4] === 0x3a &&
    (raw[0]! | 0x20) === 0x73 &&
    (raw[1]! | 0x20) === 0x6d &&
    (raw[2]! | 0x20) === 0x74 &&
    (raw[3]! | 0x20) === 0x70
  );
}
