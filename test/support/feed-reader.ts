/** A feed of a slapd read event by event, in words. */
import { systemClock } from '../../src/base/clock.ts';
import { Secret } from '../../src/base/secret.ts';
import { openLdapFeed, type OpenLdapOptions } from '../../src/sync/source/openldap.ts';
import type { Feed, FeedEvent } from '../../src/sync/source/source.ts';
import type { Slapd } from './slapd.ts';

export const BASE = 'dc=example,dc=org';
/** Of slapd and of Samba; not worth saying. */
const SUFFIX = /,dc=(example,dc=org|ad,dc=ex,dc=test)$/i;

export function person(n: number | string, ...lines: string[]): string {
  return [
    `dn: uid=${n},${BASE}`,
    'objectClass: inetOrgPerson',
    `uid: ${n}`,
    `cn: ${n}`,
    `sn: ${n}`,
    `mail: ${n}@example.org`,
    ...lines,
    '',
    '',
  ].join('\n');
}

export const people = (count: number, ...lines: string[]): string =>
  Array.from({ length: count }, (_, n) => person(n, ...lines)).join('');

export function feedOf(slapd: Slapd, changes: Partial<OpenLdapOptions> = {}): Feed {
  return openLdapFeed({
    url: slapd.url,
    startTls: false,
    trust: { kind: 'authorities' },
    bindDn: slapd.adminDn,
    password: () => Promise.resolve(new Secret(slapd.adminPassword)),
    base: BASE,
    filter: '(objectClass=inetOrgPerson)',
    attributes: ['objectClass', 'mail'],
    mapping: 'test',
    clock: systemClock,
    ...changes,
  });
}

/** An opening of a feed that the test reads event by event. */
export class FeedReader {
  readonly #abort = new AbortController();
  readonly #arrays: AsyncIterator<readonly FeedEvent[]>;
  readonly #uids: Map<string, string>;
  readonly said: string[] = [];
  cookie: Buffer | undefined;

  /** `uids`: GUID -> mail, kept from opening to opening, since deletions and present phases name GUIDs only. */
  constructor(feed: Feed, cookie?: Buffer, uids = new Map<string, string>()) {
    this.#arrays = feed.follow(cookie, this.#abort.signal)[Symbol.asyncIterator]();
    this.#uids = uids;
  }

  /** Reads until an event of this kind (or the end) has come; returns everything since the last call. */
  async until(kind: FeedEvent['kind'] | 'end', times = 1): Promise<string[]> {
    for (let met = 0; met < times; ) {
      const { done, value } = await this.#arrays.next();
      if (done === true) {
        if (kind !== 'end') throw new Error('the feed has ended');
        break;
      }
      for (const event of value) {
        this.said.push(this.#words(event));
        if (event.kind === kind) met++;
      }
    }
    return this.said.splice(0);
  }

  /** Reads to the end, which must be a failure. */
  async failure(): Promise<unknown> {
    try {
      await this.until('end');
    } catch (error) {
      return error;
    }
    throw new Error(`no failure: ${this.said.join(', ')}`);
  }

  async close(): Promise<Map<string, string>> {
    this.#abort.abort();
    await this.#arrays.return?.();
    return this.#uids;
  }

  #words(event: FeedEvent): string {
    const name = (guid: Buffer): string => this.#uids.get(guid.toString('hex')) ?? 'somebody';
    if (event.kind === 'upsert') {
      const mail = event.entry.attributes.get('mail')?.join('+') ?? 'nobody';
      this.#uids.set(event.entry.guid.toString('hex'), mail.replaceAll('@example.org', ''));
      return `upsert ${name(event.entry.guid)} (${event.entry.dn.replace(SUFFIX, '')})`;
    }
    if (event.kind === 'delete') return `delete ${name(event.guid)}`;
    if (event.kind === 'present') return `present ${event.guids.map(name).sort().join(' ')}`;
    if (event.kind === 'restart') return 'restart';
    this.cookie = event.cookie;
    return event.kind === 'complete' && event.sweep ? 'complete, sweep' : event.kind;
  }
}
