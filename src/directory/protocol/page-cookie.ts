/**
 * Cookies of paged searches (RFC 2696): the position and a fingerprint of the search, sealed with a key of this process, so
 * that a client can neither make one nor carry it to another search or session. The server keeps nothing per search.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { refuse } from '../refusal.ts';

const MAC_LENGTH = 16;
const LENGTH = 4 + MAC_LENGTH;

export class PageCookies {
  readonly #key: Buffer;

  /** `key`: 32 random octets. */
  constructor(key: Buffer) {
    this.#key = key;
  }

  /** `search`: whatever makes it this search of this session. */
  seal(last: number, search: string): Buffer {
    const position = Buffer.alloc(4);
    position.writeUInt32BE(last);
    const mac = this.#mac(position, search);
    return Buffer.concat([this.#masked(position, mac), mac]);
  }

  /** The record number to go on behind; 0 for the empty cookie. Refuses anything not sealed here for this search. */
  open(cookie: Buffer, search: string): number {
    if (cookie.length === 0) return 0;
    const mac = cookie.subarray(4);
    if (cookie.length === LENGTH) {
      const position = this.#masked(cookie.subarray(0, 4), mac);
      if (timingSafeEqual(mac, this.#mac(position, search))) return position.readUInt32BE();
    }
    return refuse('unwillingToPerform', 'this cookie is not of this search');
  }

  /** Record numbers in clear would tell how many entries there are that the client may not see. Its own inverse. */
  #masked(position: Buffer, mac: Buffer): Buffer {
    const mask = createHmac('sha256', this.#key).update('position').update(mac).digest();
    return Buffer.from(position.map((octet, at) => octet ^ (mask[at] as number)));
  }

  #mac(position: Buffer, search: string): Buffer {
    return createHmac('sha256', this.#key).update(position).update(search).digest().subarray(0, MAC_LENGTH);
  }
}
