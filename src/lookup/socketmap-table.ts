/**
 * What Postfix's and Sendmail's socketmap clients are told (socketmap_table(5)). Owns the maps' names and the wording of the
 * replies; knows nothing of sockets.
 *
 * - `recipients` (relay_recipient_maps): an address. Postfix gives a socketmap the whole address only (socketmaps count as
 *   pattern tables), quoted where that is needed and then, when that was not found and differs, once more without quotes.
 *   What indexed tables would be asked as well (`@domain`, a bare local part) is no address, so NOTFOUND; `@domain` does
 *   come, as the unquoted form of `""@domain`, and must never be taken for a whole domain.
 * - `domains` (relay_domains): a domain, never its parents. Postfix's smtpd remembers the outcome for an address as long as
 *   the process lives (100 sessions, or 100 s without one): a new domain may take that long.
 *
 * Data that are missing or old are TEMP, so mail waits; so are our own faults and a map that does not exist. PERM would be a
 * bounce at Sendmail.
 */
import type { AddressHasher } from '../directory/address/hasher.ts';
import type { RecipientIndex } from './recipient-index.ts';
import { type LookupAnswer, type LookupRule, lookupAddress, lookupDomain } from './validator.ts';

/** The reply to one key, `OK ...`, `NOTFOUND ` or `TEMP ...`: ASCII, one line. */
export type SocketmapTable = (key: Buffer) => string;

export interface SocketmapTablesOptions {
  readonly index: RecipientIndex;
  readonly hasher: Pick<AddressHasher, 'hash'>;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly defaultMaxAgeMs?: number;
  /** Called for each answer, for counters. Never given the key. */
  readonly onAnswer?: (map: 'recipients' | 'domains', answer: LookupAnswer) => void;
}

const NOT_FOUND = 'NOTFOUND ';

const TEMPORARY: Partial<Readonly<Record<LookupRule, string>>> = {
  recipientsNotLoaded: 'TEMP recipients are not loaded yet',
  recipientsStale: 'TEMP recipients were not confirmed for too long',
  domainsNotLoaded: 'TEMP accepted domains are not loaded yet',
};

export function socketmapTables(options: SocketmapTablesOptions): ReadonlyMap<string, SocketmapTable> {
  const { index, onAnswer } = options;
  return new Map<string, SocketmapTable>([
    [
      'recipients',
      (key) => {
        const answer = lookupAddress(key, options, options.now());
        onAnswer?.('recipients', answer);
        return recipientReply(answer);
      },
    ],
    [
      'domains',
      (key) => {
        const answer = lookupDomain(key, index);
        onAnswer?.('domains', answer);
        return reply(answer, `OK ${answer.domainKind}`);
      },
    ],
  ]);
}

/** What the map `recipients` says of an answer of `lookupAddress`. */
export function recipientReply(answer: LookupAnswer): string {
  return reply(answer, 'OK 1');
}

function reply(answer: LookupAnswer, known: string): string {
  switch (answer.verdict) {
    case 'known':
      return known;
    case 'temporarilyUnable':
      return TEMPORARY[answer.rule] ?? 'TEMP try again later';
    case 'unknown':
    case 'notOurs':
      return NOT_FOUND;
  }
}
