/**
 * The staleness contract of the lookups for a mail server that asks over LDAP: what is found is said at any time, but "nothing
 * found" only while the data are good enough for it; else the search ends with `busy`, which mail servers take for temporary.
 */
import type { Directory, Session } from '../../directory/directory.ts';
import { resultOf } from '../../directory/directory.ts';
import type { LdapResult } from '../../ldap/message.ts';
import { ROLE } from './access.ts';
import type { Lookups } from './lookups.ts';

/** Bases remembered; a mail server uses two. */
const MOST_BASES = 256;

interface Reach {
  readonly recipients: boolean;
  readonly domains: boolean;
}

/** The directory's `searchGate` hook. Asked before every search, so the base's spelling is read once only. */
export function createSearchGate(
  directory: () => Directory,
  lookups: () => Pick<Lookups, 'unavailable' | 'domainsUnavailable'>,
): (session: Session, base: string) => LdapResult | undefined {
  const known = new Map<string, Reach>();
  return (session, base) => {
    if (session.identity.role !== ROLE.localReader) return undefined;
    let reach = known.get(base);
    if (reach === undefined) {
      reach = reachOf(directory(), base);
      if (known.size >= MOST_BASES) known.clear();
      known.set(base, reach);
    }
    const why =
      (reach.recipients ? lookups().unavailable : undefined) ??
      (reach.domains ? lookups().domainsUnavailable : undefined);
    return why === undefined ? undefined : resultOf('busy', why);
  };
}

/** Which data a search from `base` is about, however its name is written and whether or not it exists. */
function reachOf(directory: Directory, base: string): Reach {
  const { database } = directory;
  const name = database.names.tryRead(base);
  const at = name === undefined ? 0 : database.nearest(name);
  const touches = (container: string): boolean => {
    const id = directory.resolve(container);
    if (at === 0) return base === '';
    return database.tree.isWithin(at, id) || database.tree.isWithin(id, at);
  };
  return { recipients: touches('cn=Recipients'), domains: touches('cn=AcceptedDomains,cn=Configuration') };
}
