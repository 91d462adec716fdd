/**
 * The directory within the process: the public face of this folder. Daemons open one, hand in what is theirs (access table,
 * hooks, virtual attributes), change and read it here, and let clients at it by `server.ts`.
 *
 *   const directory = new Directory({ store, clock, random, log, contexts: ['cn=Recipients'], access });
 *   await directory.apply([{ request: { op: 'addRequest', dn: 'cn=Recipients', attributes: [...] } }]);
 *   for (const id of directory.lookupEquality('posternAddress', hash)) directory.readEntry(id);
 */
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import { PosternError } from '../base/error.ts';
import type { Random } from '../base/random.ts';
import { parseFilter } from '../ldap/filter.ts';
import type { Control, Filter, Scope } from '../ldap/message.ts';
import { resultError } from '../ldap/client-error.ts';
import { AccessControl, type AccessPolicy } from './access/access.ts';
import { Database } from './database.ts';
import { type ComputedAttribute, computedAttributes, type VirtualAttribute } from './entry/computed.ts';
import { Entry } from './entry/entry.ts';
import { EntryView } from './entry/layout.ts';
import { normalName } from './entry/name.ts';
import type { DirectoryHooks } from './hooks.ts';
import { refuse } from './refusal.ts';
import { ADDRESS_RULE } from './schema/matching-rule.ts';
import type { AttributeType, Schema } from './schema/schema.ts';
import { standardSchema } from './schema/standard.ts';
import { compileFilter, type FilterOptions } from './search/filter.ts';
import { type EntrySink, SearchRun } from './search/search-run.ts';
import { IN_PROCESS, Session, SYSTEM } from './session.ts';
import type { RecordStore, StoreStats } from './store/contract.ts';
import { DEFAULT_CHANGE_LOG, SyncProvider } from './sync/provider.ts';
import { verifyDatabase, type VerifyFindings } from './verify.ts';
import { Turns } from './turns.ts';
import { type Change, Committer, type CommitOutcome } from './update/commit.ts';
import type { Update } from './update/context.ts';

export interface DirectoryOptions {
  /** Opened by the owner, closed by the owner after `close`. */
  readonly store: RecordStore;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** DNs of the naming contexts; their entries are added like any others. */
  readonly contexts: readonly string[];
  /** `standardSchema()` unless told. */
  readonly schema?: Schema;
  /** Attribute types with an equality index; `DEFAULT_INDEXES` unless told. */
  readonly indexes?: readonly string[];
  readonly access: AccessPolicy;
  readonly hooks?: DirectoryHooks;
  /**
   * Where addresses are stored hashed: from an asserted address (with or without `smtp:`) to the stored value; undefined for what is
   * no address. `mail`, `proxyAddresses` and `posternAddress` in filters then all ask `posternAddress`.
   */
  readonly addressHasher?: (assertion: Buffer) => Buffer | undefined;
  readonly virtualAttributes?: readonly VirtualAttribute[];
  /**
   * How many changes to remember for consumers of content synchronisation (RFC 4533), 31 bytes each, taken as they happen: whose cookie is
   * older gets the present phase. `DEFAULT_CHANGE_LOG` unless told; 0 for none.
   */
  readonly changeLog?: number;
}

export const DEFAULT_INDEXES: readonly string[] = [
  'objectClass',
  'cn',
  'uid',
  'mail',
  'proxyAddresses',
  'mailAlternateAddress',
  'mailLocalAddress',
  'member',
  'posternAddress',
  'posternFqdn',
];

/** Attribute types that ask the hashed addresses. */
const ADDRESS_TYPES = ['posternAddress', 'mail', 'proxyAddresses'];

export interface FindOptions {
  /** All naming contexts unless told. */
  readonly base?: string;
  /** `subtree` unless told. */
  readonly scope?: Scope;
  /** RFC 4515 text or a filter; every entry unless told. */
  readonly filter?: string | Filter;
}

export interface DirectoryStats {
  readonly entries: number;
  readonly indexBytes: number;
  readonly indexes: ReturnType<Database['indexSizes']>;
  readonly store: StoreStats;
}

export class Directory {
  readonly schema: Schema;
  /** For the parts of this folder; owners use the methods below. */
  readonly database: Database;
  readonly access: AccessControl;
  readonly computed: ReadonlyMap<AttributeType, ComputedAttribute>;
  readonly filterOptions: FilterOptions;
  readonly hooks: DirectoryHooks;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly committer: Committer;
  /** For everything that may take long. */
  readonly turns: Turns;
  readonly sync: SyncProvider;
  /** The process's own session: may do everything. */
  readonly system = new Session(IN_PROCESS, SYSTEM);
  readonly #sessions = new Set<Session>();
  readonly #closers: (() => void)[] = [];

  /** Builds the indexes by one scan of the store. Throws `store.damaged`, `schema.invalid`, `usage`. */
  constructor(options: DirectoryOptions) {
    const { clock, random, log, hooks = {} } = options;
    this.schema = options.schema ?? standardSchema();
    this.clock = clock;
    this.random = random;
    this.log = log;
    this.hooks = hooks;
    this.turns = new Turns(clock);
    this.database = new Database({
      store: options.store,
      schema: this.schema,
      clock,
      random,
      contexts: options.contexts,
      indexes: options.indexes ?? DEFAULT_INDEXES,
    });
    this.access = new AccessControl(this.database, options.access);
    this.computed = computedAttributes(this.database, options.virtualAttributes ?? []);
    const types = ADDRESS_TYPES.map((name) => this.schema.attributeType(name)).filter(
      (type) => type !== undefined,
    );
    this.filterOptions = {
      database: this.database,
      computed: this.computed,
      addressHasher: options.addressHasher,
      addressTypes: new Set(types),
      addressType: types.find((type) => type.equality?.name === ADDRESS_RULE),
    };
    const { database, access, computed, filterOptions } = this;
    this.committer = new Committer({ database, access, computed, filterOptions, random, log, hooks });
    this.sync = new SyncProvider(this, options.changeLog ?? DEFAULT_CHANGE_LOG);
  }

  // --- reading ---

  /** A copy of an entry, by record number or DN; undefined when there is none. */
  readEntry(which: number | string): Entry | undefined {
    const id = typeof which === 'number' ? which : this.resolve(which);
    const view = new EntryView();
    if (id === 0 || !this.database.read(id, view)) return undefined;
    return new Entry(
      this.database,
      id,
      this.database.dnText(id),
      Buffer.from(view.buffer.subarray(view.start, view.end)),
    );
  }

  /** Record number of a DN; 0 when there is no such entry. Throws for what is no DN. */
  resolve(dn: string): number {
    return this.database.resolve(this.database.names.read(dn));
  }

  /**
   * Record numbers of the entries that have this value, in its normal form (for `posternAddress`: the stored hash), subtypes
   * included. Record numbers stay valid until the entry is deleted. Throws `usage` without an index.
   */
  lookupEquality(attribute: string, normal: Buffer): number[] {
    const type = this.schema.attributeType(attribute);
    if (type === undefined || !this.database.values.covers(type))
      throw new PosternError('usage', `attribute ${attribute} has no index`);
    return this.database.findEqual(type, normal);
  }

  /** Entries that match, as copies; long searches let others work in between. Throws `ldap.result` (noSuchObject...) and `decode`. */
  async find(options: FindOptions): Promise<Entry[]> {
    const found: Entry[] = [];
    await this.scan(options, (entry) => void found.push(entry));
    return found;
  }

  /** As `find`, one entry at a time, without gathering them. An entry changed during the scan is seen in one of its states, or not at all. */
  async scan(options: FindOptions, visit: (entry: Entry) => void): Promise<void> {
    const { database } = this;
    await this.scanViews(options, (id, view) => {
      visit(
        new Entry(database, id, database.dnText(id), Buffer.from(view.buffer.subarray(view.start, view.end))),
      );
    });
  }

  /** As `scan` without copying: the view is valid during the call only. For digests over a million entries. */
  async scanViews(options: FindOptions, visit: (id: number, view: EntryView) => void): Promise<void> {
    const run = this.#run(options, (id, view) => {
      visit(id, view);
      return true;
    });
    await new Promise<void>((resolve, reject) => {
      const step = (): void => {
        try {
          if (run.step() === 'more') this.turns.queue(step);
          else resolve();
        } catch (error) {
          reject(error as Error);
        }
      };
      this.turns.queue(step);
    });
  }

  #run(options: FindOptions, sink: EntrySink): SearchRun {
    const filter =
      typeof options.filter === 'string' ? parseFilter(options.filter) : (options.filter ?? EVERYTHING);
    const base = options.base === undefined ? 0 : this.resolve(options.base);
    if (base === 0 && options.base !== undefined && options.base !== '') refuse('noSuchObject', options.base);
    const task = {
      base,
      scope: options.scope ?? ('subtree' as const),
      filter: compileFilter(filter, this.filterOptions),
      sizeLimit: 0,
      timeLimitMs: 0,
      lookThrough: 0,
    };
    return new SearchRun(task, this, this.system, sink);
  }

  // --- changing ---

  /**
   * Carries out updates as one group: all or none, durable when the promise resolves. Rights and `beforeCommit` are not asked: these are
   * the process's own changes (`as` another session for its rights). Rejects with `ldap.result`; the group is undone then.
   */
  apply(
    updates: readonly Update[],
    as: { session?: Session } = {},
  ): Promise<readonly { readonly update: Update; readonly controls: readonly Control[] }[]> {
    const session = as.session ?? this.system;
    return new Promise((resolve, reject) => {
      const done = (outcome: CommitOutcome): void => {
        if (outcome.ok) resolve(outcome.updates);
        else
          reject(
            resultError(
              outcome.result,
              outcome.failed === undefined
                ? 'commit'
                : `${outcome.failed.request.op.replace('Request', '')} of ${outcome.failed.request.dn}`,
            ),
          );
      };
      this.committer.submit({ session, updates, inTransaction: true, ask: as.session !== undefined, done });
    });
  }

  /** Calls `listener` with the changes of every durable group, in order; returns how to stop that. */
  onChange(listener: (changes: readonly Change[], session: Session) => void): () => void {
    return this.committer.onChange(listener);
  }

  // --- sessions ---

  /** For the server: a client's session, until it ends. */
  addSession(session: Session): void {
    this.#sessions.add(session);
    session.onEnd((ended) => this.#sessions.delete(ended));
  }

  get sessions(): ReadonlySet<Session> {
    return this.#sessions;
  }

  /** Ends every session for which `which` is true (a pin was removed, an account expired). Returns how many. */
  terminate(which: (session: Session) => boolean): number {
    const found = [...this.#sessions].filter(which);
    for (const session of found) session.terminate();
    return found.length;
  }

  // --- the rest ---

  get stats(): DirectoryStats {
    return {
      entries: this.database.size,
      indexBytes: this.database.indexBytes,
      indexes: this.database.indexSizes(),
      store: this.database.store.stats(),
    };
  }

  /** Looks at every entry whether tree and indexes agree with it; in slices. The store's own `verify` looks at the files. */
  verify(): Promise<VerifyFindings> {
    return verifyDatabase(this.database, this.clock);
  }

  /** True when both name the same entry, whatever the spelling. Throws for what is no DN. */
  sameName(a: string, b: string): boolean {
    return normalName(this.database.names.read(a)).equals(normalName(this.database.names.read(b)));
  }

  /** Calls `closer` when the directory is closed. */
  onClose(closer: () => void): void {
    this.#closers.push(closer);
  }

  /** Ends all sessions and waits until what was committed is durable. The store stays open. */
  async close(): Promise<void> {
    this.terminate(() => true);
    for (const closer of this.#closers.splice(0)) closer();
    this.sync.close();
    await this.database.store.flush();
  }
}

const EVERYTHING: Filter = { kind: 'and', filters: [] };

export type { AccessPolicy, AccessRule, Right } from './access/access.ts';
export type { VirtualAttribute } from './entry/computed.ts';
export { Entry } from './entry/entry.ts';
export type {
  AuthenticateResult,
  BindAttempt,
  DirectoryHooks,
  ExtendedHandler,
  ExtendedReply,
  PasswordChange,
  PasswordChanged,
} from './hooks.ts';
export { Refusal, refuse, resultOf, SUCCESS } from './refusal.ts';
export {
  ANONYMOUS,
  ANONYMOUS_ROLE,
  type ConnectionFacts,
  type Identity,
  Session,
  SYSTEM,
} from './session.ts';
export type { BeforeCommit, Change } from './update/commit.ts';
export type { Update, UpdateRequest } from './update/context.ts';
export type { VerifyFindings } from './verify.ts';
