/** The hub's own feed (RFC 4533 as a client) against our provider, as against any other: what it says adds up to what a search shows. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { Secret } from '../../src/base/secret.ts';
import { parseFilter } from '../../src/ldap/filter.ts';
import { openLdapFeed } from '../../src/sync/source/openldap.ts';
import type { FeedEvent } from '../../src/sync/source/source.ts';
import { ADMINISTRATOR, type ServedDirectory } from '../support/served-directory.ts';
import { BASE, carryOut, changes, serveTree } from '../support/sync-tree.ts';

const FILTER = '(&(objectClass=person)(description=in))';

/** Content by GUID, as a mirror would keep it. */
class Kept {
  readonly names = new Map<string, string>();
  cookie: Buffer | undefined;
  #mentioned = new Set<string>();

  take(event: FeedEvent): void {
    if (event.kind === 'upsert') {
      this.names.set(event.entry.guid.toString('hex'), event.entry.dn);
      this.#mentioned.add(event.entry.guid.toString('hex'));
    } else if (event.kind === 'delete') this.names.delete(event.guid.toString('hex'));
    else if (event.kind === 'present')
      for (const guid of event.guids) this.#mentioned.add(guid.toString('hex'));
    else if (event.kind === 'complete') {
      if (event.sweep)
        for (const guid of this.names.keys()) if (!this.#mentioned.has(guid)) this.names.delete(guid);
      this.#mentioned = new Set();
      this.cookie = event.cookie;
    } else if (event.kind === 'position') this.cookie = event.cookie;
  }
}

/** Follows until the first refresh is complete. */
async function refresh(served: ServedDirectory, kept: Kept): Promise<void> {
  const feed = openLdapFeed({
    url: served.url,
    startTls: false,
    trust: { kind: 'authorities' },
    bindDn: ADMINISTRATOR.dn,
    password: () => Promise.resolve(new Secret(ADMINISTRATOR.password)),
    base: BASE,
    filter: FILTER,
    attributes: ['objectClass', 'mail'],
    mapping: 'test',
    clock: systemClock,
  });
  const stop = new AbortController();
  for await (const events of feed.follow(kept.cookie, stop.signal)) {
    for (const event of events) kept.take(event);
    if (events.some((event) => event.kind === 'complete')) break;
  }
  stop.abort();
}

it('whatever happens between two refreshes, by delete phase or present phase', async () => {
  const groups = fc.array(changes, { maxLength: 15 });
  await fc.assert(
    fc.asyncProperty(
      fc.array(groups, { maxLength: 3 }),
      fc.constantFrom(0, 4, 1000),
      async (rounds, changeLog) => {
        await using served = await serveTree({ changeLog });
        const kept = new Kept();
        for (const round of [[], ...rounds]) {
          for (const group of round) await carryOut(served.directory, group);
          await refresh(served, kept);
          const found = await served.directory.find({ filter: parseFilter(FILTER) });
          const wanted = new Map(found.map((entry) => [entry.uuid.toString('hex'), entry.dn]));
          expect(new Map([...kept.names].sort())).toEqual(new Map([...wanted].sort()));
        }
      },
    ),
    { numRuns: 25 },
  );
});
