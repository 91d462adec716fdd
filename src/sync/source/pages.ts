/** A search page by page (RFC 2696). */
import type { LdapClient, SearchItem, SearchParameters } from '../../ldap/client.ts';
import { decodePagedResults, encodePagedResults } from '../../ldap/control-values.ts';
import { CONTROL, findControl } from '../../ldap/control.ts';
import type { Control } from '../../ldap/message.ts';

/** What Active Directory gives at once unless its policy says otherwise (MaxPageSize); others give it as well. */
const PAGE = 1000;

/**
 * Items of a search, in the order they come. A server that does not know pages sends everything at once. Throws as the search does: a page that does
 * not come is a failure, never an end.
 */
export async function* pages(
  client: LdapClient,
  parameters: SearchParameters,
  signal: AbortSignal,
  controls: readonly Control[] = [],
): AsyncGenerator<readonly SearchItem[], void, undefined> {
  let cookie: Buffer = Buffer.alloc(0);
  do {
    const value = encodePagedResults({ size: PAGE, cookie });
    const paged = { oid: CONTROL.pagedResults, critical: false, value };
    const search = client.search(parameters, { controls: [paged, ...controls], signal });
    yield* search.batches();
    const answer = findControl((await search.done).controls, CONTROL.pagedResults);
    cookie = Buffer.from(answer === undefined ? '' : decodePagedResults(answer.value).cookie);
  } while (cookie.length > 0);
}
