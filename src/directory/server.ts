/**
 * Clients of a directory: hands each connection of a listener to a `Client`. One server for each kind of listener, since what is
 * served, to whom, and within which limits differs between the perimeter and the local mail server.
 *
 *   const server = new DirectoryServer({ directory, initialIdentity: () => LOCAL_READER });
 *   const listener = new LdapListener({ address, clock, log, accept: server.accept });
 */
import type { Request } from '../ldap/message.ts';
import type { ConnectionHandler, ServerConnection } from '../ldap/server.ts';
import type { Directory } from './directory.ts';
import { BindThrottle } from './protocol/bind-throttle.ts';
import { Client } from './protocol/client.ts';
import { FastSearch } from './protocol/fast-search.ts';
import { type ClientLimits, READER_LIMITS, STRANGER_LIMITS, TRUSTED_LIMITS } from './protocol/limits.ts';
import { PageCookies } from './protocol/page-cookie.ts';
import { SpecialEntries } from './protocol/special-entry.ts';
import { MemoryBudget } from './protocol/memory-budget.ts';
import { ANONYMOUS, ANONYMOUS_ROLE, type ConnectionFacts, type Identity, type Session } from './session.ts';

export interface DirectoryServerOptions {
  readonly directory: Directory;
  /** Who a client is before it binds; anonymous unless told. */
  readonly initialIdentity?: (connection: ConnectionFacts) => Identity;
  /** Asked at connect and after every bind. Unless told: strangers for anonymous, trusted for all others. */
  readonly limits?: (session: Session) => ClientLimits;
  /** Which operations are served: `op` of a request (`searchRequest`), for extended ones their OID. All unless told. Binds and Who am I belong in it too. */
  readonly allow?: (operation: string, session: Session) => boolean;
  /** The listener can do StartTLS. */
  readonly startTls?: boolean;
  /** Mechanisms that the `authenticate` hook understands, upper case. */
  readonly saslMechanisms?: readonly string[];
  /** For the root DSE. */
  readonly vendorVersion?: string;
  /** May read the subschema entry; everybody who isn't anonymous unless told. */
  readonly subschema?: (session: Session) => boolean;
}

/** Octets of all open transactions together. */
const TRANSACTION_BYTES = 128 << 20;
/** Octets of all sort keys and sorted results together. */
const SORT_BYTES = 64 << 20;

export class DirectoryServer {
  readonly directory: Directory;
  readonly startTls: boolean;
  readonly saslMechanisms: readonly string[];
  readonly throttle = new BindThrottle();
  readonly cookies: PageCookies;
  readonly special: SpecialEntries;
  readonly fastSearch: FastSearch;
  readonly transactionBudget = new MemoryBudget(TRANSACTION_BYTES);
  readonly sortBudget = new MemoryBudget(SORT_BYTES);
  readonly #options: DirectoryServerOptions;

  constructor(options: DirectoryServerOptions) {
    const { directory } = options;
    this.#options = options;
    this.directory = directory;
    this.startTls = options.startTls ?? false;
    this.saslMechanisms = options.saslMechanisms ?? [];
    this.cookies = new PageCookies(directory.random.bytes(32));
    this.special = new SpecialEntries(directory, options.vendorVersion ?? '0', this.saslMechanisms);
    this.fastSearch = new FastSearch(directory);
  }

  /** For `LdapListener`. */
  readonly accept = (connection: ServerConnection): ConnectionHandler => new Client(this, connection);

  initialIdentity(facts: ConnectionFacts): Identity {
    return this.#options.initialIdentity?.(facts) ?? ANONYMOUS;
  }

  limitsOf(session: Session): ClientLimits {
    return (
      this.#options.limits?.(session) ??
      (session.identity.role === ANONYMOUS_ROLE ? STRANGER_LIMITS : TRUSTED_LIMITS)
    );
  }

  allows(request: Request, session: Session): boolean {
    return this.allowsOperation(request.op === 'extendedRequest' ? request.oid : request.op, session);
  }

  /** `operation`: as `DirectoryServerOptions.allow` gets it. */
  allowsOperation(operation: string, session: Session): boolean {
    const { allow } = this.#options;
    return allow === undefined || allow(operation, session);
  }

  allowsSearch(session: Session): boolean {
    return this.allowsOperation('searchRequest', session);
  }

  maySeeSubschema(session: Session): boolean {
    return this.#options.subschema?.(session) ?? session.identity.role !== ANONYMOUS_ROLE;
  }
}

export { type ClientLimits, READER_LIMITS, STRANGER_LIMITS, TRUSTED_LIMITS };
