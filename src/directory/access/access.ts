/**
 * Who may do what: one declarative table, compiled into per-attribute answers that are cached by parent entry. The default
 * denies. Secrets are unreadable whatever the table says. Knows rights only: no operation, no hook.
 */
import { PosternError } from '../../base/error.ts';
import { escapeNameValue } from '../../ldap/dn.ts';
import type { Database } from '../database.ts';
import { type Name, normalName } from '../entry/name.ts';
import { type Session, SYSTEM_ROLE } from '../session.ts';
import type { AttributeType } from '../schema/schema.ts';

/**
 * search: stand in filters; compare: compare operation; read: values are returned; write: modify; add, delete, rename: of whole
 * entries, `add` asking every attribute of the new entry; deleteTree: of an entry with all below it, each of which wants
 * `delete` as well. An entry of which nothing may be searched or read does not exist for the session.
 */
export type Right = 'search' | 'compare' | 'read' | 'write' | 'add' | 'delete' | 'rename' | 'deleteTree';

export interface AccessRule {
  /** Roles it is for; `*` is everybody. */
  readonly roles: readonly string[];
  /** A DN; empty for all naming contexts. `{name}` stands for a parameter of the session's identity. */
  readonly subtree: string;
  /** `subtree` unless told; `base` is the entry alone, `children` all below it without itself. */
  readonly scope?: 'base' | 'children' | 'subtree';
  /** Attribute names; `*` all user attributes, `+` all operational ones. Both unless told. */
  readonly attributes?: readonly string[];
  readonly rights: readonly Right[];
  /** The rights hold only inside transactions (RFC 5805). */
  readonly inTransaction?: boolean;
}

export interface AccessPolicy {
  readonly rules: readonly AccessRule[];
  /** Attributes whose values nobody gets in any way but the process itself: reads, filters, compares, pre- and post-reads, sync. */
  readonly secrets: readonly string[];
}

/** Bits of an attribute's rights. */
const BIT: Readonly<Record<Right, number>> = {
  search: 1,
  compare: 2,
  read: 4,
  write: 8,
  add: 16,
  delete: 32,
  rename: 64,
  deleteTree: 128,
};
const CHANGES: ReadonlySet<Right> = new Set(['write', 'add', 'delete', 'rename', 'deleteTree']);
const FINDS: ReadonlySet<Right> = new Set(['search', 'compare', 'read']);
const READABLE = BIT.search | BIT.compare | BIT.read;

/** What a session may do with one entry. */
export class AccessView {
  /** By attribute type number. */
  readonly #attributes: Uint8Array;
  readonly #inTransaction: Uint8Array;
  /** Rights of attribute types that the schema doesn't know. */
  readonly #others: number;
  /** Union of all rights, for entry-level questions. */
  readonly #any: number;
  readonly #anyInTransaction: number;
  readonly visible: boolean;

  constructor(
    attributes: Uint8Array,
    inTransaction: Uint8Array,
    any: number,
    anyInTransaction: number,
    others: number,
  ) {
    this.#attributes = attributes;
    this.#inTransaction = inTransaction;
    this.#any = any;
    this.#anyInTransaction = anyInTransaction;
    this.#others = others;
    this.visible = (any & (BIT.search | BIT.read)) !== 0;
  }

  may(right: Right, type: AttributeType, transaction = false): boolean {
    const rights = (transaction ? this.#inTransaction : this.#attributes)[type.index] ?? this.#others;
    return (rights & BIT[right]) !== 0;
  }

  mayRead(type: AttributeType): boolean {
    return ((this.#attributes[type.index] ?? this.#others) & BIT.read) !== 0;
  }

  /**
   * Whether the session may learn anything of the values. Without that, it may only replace them as a whole: that a value could be
   * taken out, or not put in beside another, would tell it.
   */
  mayLearn(type: AttributeType): boolean {
    return ((this.#attributes[type.index] ?? this.#others) & READABLE) !== 0;
  }

  maySearch(type: AttributeType): boolean {
    return ((this.#attributes[type.index] ?? this.#others) & BIT.search) !== 0;
  }

  /** Rights that are the entry's: delete, rename; and whether any attribute has the right. */
  mayEntry(right: Right, transaction = false): boolean {
    return ((transaction ? this.#anyInTransaction : this.#any) & BIT[right]) !== 0;
  }
}

interface CompiledRule {
  readonly rule: AccessRule;
  readonly base: Name | undefined;
  readonly normal: Buffer;
  readonly scope: 'base' | 'children' | 'subtree';
  readonly bits: number;
}

const MOST_CACHED = 10_000;
/** A record number that no entry has. */
const NO_ENTRY = 0xffff_ffff;
const NOTHING = new AccessView(new Uint8Array(0), new Uint8Array(0), 0, 0, 0);

export class AccessControl {
  readonly #database: Database;
  readonly #policy: AccessPolicy;
  readonly #secrets = new Set<AttributeType>();
  /** Views by the rules they combine. */
  readonly #views = new Map<string, AccessView>();
  /** Rules without placeholders by their text, and those with them after filling in; bounded by rules x identities in use. */
  readonly #rules = new Map<string, CompiledRule | undefined>();
  readonly #everything: AccessView;
  /** By role: whether it may change, or find, anything at all. */
  readonly #changers = new Map<string, boolean>();
  readonly #finders = new Map<string, boolean>();

  constructor(database: Database, policy: AccessPolicy) {
    this.#database = database;
    this.#policy = policy;
    const count = database.schema.attributeTypes.length;
    for (const name of policy.secrets) {
      const type = database.schema.attributeType(name);
      if (type === undefined)
        throw new PosternError('usage', `secret attribute ${name} is not in the schema`);
      for (const member of type.family) this.#secrets.add(member);
    }
    for (const rule of policy.rules) {
      if (!rule.subtree.includes('{')) this.#compile(rule, rule.subtree);
      this.#typesOf(rule);
    }
    const all = new Uint8Array(count).fill(0xff);
    this.#everything = new AccessView(all, all, 0xff, 0xff, 0xff);
  }

  /** What a session may do with the entry. */
  view(session: Session, id: number): AccessView {
    if (session.identity.role === SYSTEM_ROLE) return this.#everything;
    const database = this.#database;
    if (session.accessVersion !== database.structure) {
      session.accessCache.clear();
      session.accessVersion = database.structure;
    }
    const cache = session.accessCache;
    // Negative keys: entries that a rule names, which differ from their siblings; the others share their parent's answer.
    const special = cache.get(-id - 1);
    if (special !== undefined) return special;
    const parent = database.tree.parent(id);
    const common = cache.get(parent);
    if (common !== undefined) return common;
    return this.#look(session, id, parent);
  }

  /** True for an attribute whose values nobody gets. */
  isSecret(type: AttributeType): boolean {
    return this.#secrets.has(type);
  }

  /** True when a rule lets the session see every entry there is. */
  seesEverything(session: Session): boolean {
    const { role } = session.identity;
    if (role === SYSTEM_ROLE) return true;
    return this.#policy.rules.some(
      ({ roles, subtree, scope, rights, inTransaction }) =>
        (roles.includes('*') || roles.includes(role)) &&
        subtree === '' &&
        (scope ?? 'subtree') === 'subtree' &&
        inTransaction !== true &&
        (rights.includes('search') || rights.includes('read')),
    );
  }

  /** True when some rule lets the session change something somewhere. */
  mayChange(session: Session): boolean {
    return this.#mayAny(session, CHANGES, this.#changers);
  }

  /** True when some rule gives the session this right somewhere. */
  mayAnywhere({ identity }: Session, right: Right): boolean {
    return (
      identity.role === SYSTEM_ROLE ||
      this.#policy.rules.some(
        ({ roles, rights }) =>
          (roles.includes('*') || roles.includes(identity.role)) && rights.includes(right),
      )
    );
  }

  /** True when some rule lets the session find something somewhere. */
  mayFind(session: Session): boolean {
    return this.#mayAny(session, FINDS, this.#finders);
  }

  #mayAny(session: Session, wanted: ReadonlySet<Right>, known: Map<string, boolean>): boolean {
    const { role } = session.identity;
    if (role === SYSTEM_ROLE) return true;
    let may = known.get(role);
    if (may === undefined) {
      may = this.#policy.rules.some(
        ({ roles, rights }) =>
          (roles.includes('*') || roles.includes(role)) && rights.some((right) => wanted.has(right)),
      );
      known.set(role, may);
    }
    return may;
  }

  /** What a session might do with an entry that is no longer (or not yet) below `parent`. */
  viewBelow(session: Session, parent: number): AccessView {
    if (session.identity.role === SYSTEM_ROLE) return this.#everything;
    if (parent === 0) return NOTHING;
    if (session.accessVersion !== this.#database.structure) {
      session.accessCache.clear();
      session.accessVersion = this.#database.structure;
    }
    return session.accessCache.get(parent) ?? this.#look(session, NO_ENTRY, parent);
  }

  #look(session: Session, id: number, parent: number): AccessView {
    const database = this.#database;
    const cache = session.accessCache;
    if (cache.size >= MOST_CACHED) cache.clear();
    const rules = this.#rulesOf(session);
    const bases = rules.map((rule) => (rule.base === undefined ? 0 : database.resolve(rule.base)));
    for (const base of bases) if (base !== 0) database.watch(base);
    database.watch(parent);
    // Naming contexts have no common parent to share an answer by: each is asked for itself.
    for (const base of new Set([...bases, ...(parent === 0 ? [id] : [])])) {
      if (base !== 0)
        cache.set(
          -base - 1,
          this.#combine(rules.filter((rule, i) => covers(rule, bases[i] ?? 0, base, database))),
        );
    }
    const special = cache.get(-id - 1);
    if (special !== undefined) return special;
    const view = this.#combine(
      rules.filter(
        (rule, i) =>
          rule.scope !== 'base' &&
          (rule.base === undefined ||
            ((bases[i] ?? 0) !== 0 && database.tree.isWithin(parent, bases[i] ?? 0))),
      ),
    );
    cache.set(parent, view);
    return view;
  }

  /** The rules that a session's role and parameters make apply somewhere. */
  #rulesOf(session: Session): CompiledRule[] {
    const { role, parameters } = session.identity;
    const found: CompiledRule[] = [];
    for (const rule of this.#policy.rules) {
      if (!rule.roles.includes('*') && !rule.roles.includes(role)) continue;
      const subtree = fill(rule.subtree, parameters ?? {});
      const compiled = subtree === undefined ? undefined : this.#compile(rule, subtree);
      if (compiled !== undefined) found.push(compiled);
    }
    return found;
  }

  #compile(rule: AccessRule, subtree: string): CompiledRule | undefined {
    const key = `${this.#policy.rules.indexOf(rule)} ${subtree}`;
    if (this.#rules.has(key)) return this.#rules.get(key);
    if (this.#rules.size >= MOST_CACHED) this.#rules.clear();
    const base = this.#database.names.tryRead(subtree);
    let compiled: CompiledRule | undefined;
    if (base !== undefined || subtree === '') {
      const bits = rule.rights.reduce((sum, right) => sum | BIT[right], 0);
      compiled = { rule, base, normal: normalName(base), scope: rule.scope ?? 'subtree', bits };
      if (base !== undefined) this.#database.watchName(base);
    } else if (!rule.subtree.includes('{')) {
      throw new PosternError('usage', `access rule for "${subtree}": not a name`);
    }
    this.#rules.set(key, compiled);
    return compiled;
  }

  #combine(rules: readonly CompiledRule[]): AccessView {
    const key = rules.map((rule) => this.#policy.rules.indexOf(rule.rule)).join();
    const known = this.#views.get(key);
    if (known !== undefined) return known;
    const count = this.#database.schema.attributeTypes.length;
    const attributes = new Uint8Array(count);
    const inTransaction = new Uint8Array(count);
    let any = 0;
    let anyInTransaction = 0;
    let others = 0;
    for (const { rule, bits } of rules) {
      anyInTransaction |= bits;
      if (rule.inTransaction !== true) any |= bits;
      const { types, all } = this.#typesOf(rule);
      if (all && rule.inTransaction !== true) others |= bits;
      for (const type of types) {
        const allowed = this.#secrets.has(type) ? bits & ~READABLE : bits;
        inTransaction[type.index] = (inTransaction[type.index] as number) | allowed;
        if (rule.inTransaction !== true)
          attributes[type.index] = (attributes[type.index] as number) | allowed;
      }
    }
    const view = new AccessView(attributes, inTransaction, any, anyInTransaction, others);
    this.#views.set(key, view);
    return view;
  }

  #typesOf(rule: AccessRule): { types: Iterable<AttributeType>; all: boolean } {
    const names = rule.attributes ?? ['*', '+'];
    const types = new Set<AttributeType>();
    for (const name of names) {
      if (name === '*' || name === '+') {
        for (const type of this.#database.schema.attributeTypes)
          if (type.operational === (name === '+')) types.add(type);
        continue;
      }
      const type = this.#database.schema.attributeType(name);
      if (type === undefined)
        throw new PosternError(
          'usage',
          `access rule for "${rule.subtree}": attribute ${name} is not in the schema`,
        );
      for (const member of type.family) types.add(member);
    }
    return { types, all: names.includes('*') };
  }
}

function covers(rule: CompiledRule, base: number, id: number, database: Database): boolean {
  if (rule.base === undefined) return rule.scope !== 'base';
  if (base === 0) return false;
  if (rule.scope === 'base') return base === id;
  return database.tree.isWithin(id, base) && (rule.scope === 'subtree' || id !== base);
}

/** Puts parameters, escaped, where `{name}` stands; undefined when one is missing: the rule then applies nowhere. */
function fill(subtree: string, parameters: Readonly<Record<string, string>>): string | undefined {
  if (!subtree.includes('{')) return subtree;
  let missing = false;
  const filled = subtree.replace(/\{(\w+)\}/g, (_all, name: string) => {
    const value = Object.hasOwn(parameters, name) ? parameters[name] : undefined;
    if (value === undefined || value === '') missing = true;
    return escapeNameValue(value ?? '');
  });
  return missing ? undefined : filled;
}
