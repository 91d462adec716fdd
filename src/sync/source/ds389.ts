/**
 * Feed from a 389 Directory Server: RFC 4533 as slapd's (`openldap.ts`), but for what leaves a filter, which its incremental refresh does not
 * mention. So everything below the base is followed, and the filter is decided here.
 */
import { parseFilter } from '../../ldap/filter.ts';
import { entryTest, type EntryTest, filterAttributes } from './local-filter.ts';
import { openLdapFeed, type OpenLdapOptions } from './openldap.ts';
import type { Feed, FeedEvent } from './source.ts';

/** Throws as `openLdapFeed` does, and `usage` for a filter that cannot be decided here. */
export function ds389Feed(options: OpenLdapOptions): Feed {
  const filter = parseFilter(options.filter);
  const test = entryTest(filter);
  const attributes = [...options.attributes, ...filterAttributes(filter)];
  const known = new Map(attributes.map((type) => [type.toLowerCase(), type]));
  const feed = openLdapFeed({ ...options, filter: '(objectClass=*)', attributes: [...known.values()] });
  return {
    live: feed.live,
    identity: { ...feed.identity, kind: '389ds', filter: options.filter },
    async *follow(cookie, signal) {
      for await (const events of feed.follow(cookie, signal))
        yield events.map((event) => decided(event, test));
    },
  };
}

function decided(event: FeedEvent, test: EntryTest): FeedEvent {
  if (event.kind !== 'upsert' || test(event.entry.attributes)) return event;
  return { kind: 'delete', guid: event.entry.guid };
}
