/**
 * The two entries that are not in the store: root DSE (RFC 4512 §5.1) and subschema (§4.2). They are made as stored entries
 * are, so that filters and selections treat them alike. Both say exactly what is supported.
 */
import { formatGeneralizedTime } from '../../asn1/time.ts';
import { CONTROL, EXTENDED, FEATURE } from '../../ldap/control.ts';
import type { Request } from '../../ldap/message.ts';
import type { Directory } from '../directory.ts';
import { SUBSCHEMA_DN } from '../entry/computed.ts';
import { type Draft, encodeDraft } from '../entry/draft.ts';
import { EntryView } from '../entry/layout.ts';
import { normalName } from '../entry/name.ts';
import { formatDescription } from '../schema/description.ts';
import type { Schema } from '../schema/schema.ts';
import { isUsable } from '../search/filter.ts';
import type { Client } from './client.ts';
import { CONTROL_PLACES } from './request-controls.ts';

export interface SpecialEntry {
  readonly view: EntryView;
}

/** What a client may count on: RFC 4512 §5.1 lets it depend on who asks. */
interface Supported {
  readonly controls: readonly string[];
  readonly extensions: readonly string[];
}

/** Bounds the root DSEs remembered: one for each kind of client. */
const MOST_REMEMBERED = 64;

export class SpecialEntries {
  readonly #directory: Directory;
  #subschema: SpecialEntry | undefined;
  #subschemaNormal: Buffer;
  readonly #rootDses = new Map<string, SpecialEntry>();
  /** Of those remembered. */
  #second = 0;
  readonly #vendorVersion: string;
  readonly #mechanisms: readonly string[];

  constructor(directory: Directory, vendorVersion: string, mechanisms: readonly string[]) {
    this.#mechanisms = mechanisms;
    this.#directory = directory;
    this.#vendorVersion = vendorVersion;
    this.#subschemaNormal = normalName(directory.database.names.read(SUBSCHEMA_DN));
  }

  /** As this client may see it: what it would be refused is not listed. */
  rootDse(client: Client): SpecialEntry {
    const supported = supportedBy(client);
    const key = JSON.stringify(supported);
    const second = Math.floor(this.#directory.clock.now() / 1000);
    if (second !== this.#second) this.#rootDses.clear();
    this.#second = second;
    const known = this.#rootDses.get(key);
    if (known !== undefined) return known;
    const { database } = this.#directory;
    const entry = this.#make('', {
      objectClass: ['top', 'extensibleObject'],
      namingContexts: database.contexts.map(({ dn }) => dn),
      subschemaSubentry: [SUBSCHEMA_DN],
      supportedLDAPVersion: ['3'],
      supportedControl: supported.controls,
      supportedExtension: supported.extensions,
      supportedFeatures: Object.values(FEATURE),
      supportedSASLMechanisms: this.#mechanisms,
      vendorName: ['Postern'],
      vendorVersion: [this.#vendorVersion],
      currentTime: [formatGeneralizedTime(second * 1000)],
    });
    if (this.#rootDses.size >= MOST_REMEMBERED) this.#rootDses.clear();
    this.#rootDses.set(key, entry);
    return entry;
  }

  /** The subschema entry, when `dn` is its name. */
  subschema(dn: string): SpecialEntry | undefined {
    if (dn.length > 64) return undefined;
    const name = this.#directory.database.names.tryRead(dn);
    if (name === undefined || !normalName(name).equals(this.#subschemaNormal)) return undefined;
    this.#subschema ??= this.#make(SUBSCHEMA_DN, {
      objectClass: ['top', 'organizationalRole', 'subschema'],
      cn: ['Subschema'],
      ...descriptions(this.#directory.schema),
    });
    return this.#subschema;
  }

  #make(dn: string, content: Readonly<Record<string, readonly string[]>>): SpecialEntry {
    const { dictionary } = this.#directory.database;
    const draft: Draft = {
      parent: 0,
      uuid: Buffer.alloc(16),
      created: 0,
      changed: 0,
      changeCount: 0,
      creator: 0,
      modifier: 0,
      rdn: Buffer.from(dn),
      normalRdn: Buffer.from(dn),
      attributes: [],
    };
    for (const [name, values] of Object.entries(content)) {
      const descriptor = dictionary.use(name);
      if (descriptor === undefined || values.length === 0) continue;
      draft.attributes.push({ descriptor, values: values.map((value) => Buffer.from(value)) });
    }
    const { buffer, length } = encodeDraft(draft);
    const view = new EntryView();
    view.buffer = Buffer.from(buffer.subarray(0, length));
    view.end = length;
    return { view };
  }
}

function supportedBy({ server, session, directory, limits, canStartTls }: Client): Supported {
  const { hooks, access } = directory;
  const transactions = limits.transactionUpdates > 0;
  const extensions = [
    EXTENDED.whoAmI,
    EXTENDED.cancel,
    ...(transactions ? [EXTENDED.startTransaction, EXTENDED.endTransaction] : []),
    ...(hooks.changePassword === undefined ? [] : [EXTENDED.passwordModify]),
    ...Object.keys(hooks.extended ?? {}),
    ...(canStartTls ? [EXTENDED.startTls] : []),
  ];
  const refused = new Set<string>([
    ...(transactions ? [] : [CONTROL.transactionSpecification]),
    ...(limits.persistent > 0 ? [] : [CONTROL.syncRequest]),
    ...(access.mayAnywhere(session, 'deleteTree') ? [] : [CONTROL.treeDelete]),
  ]);
  const changes = access.mayChange(session);
  const serves = (op: Request['op']): boolean =>
    server.allowsOperation(op, session) && (changes || op === 'searchRequest' || op === 'compareRequest');
  const controls = [...CONTROL_PLACES]
    .filter(([oid, places]) => !refused.has(oid) && places.some(serves))
    .map(([oid]) => oid);
  return {
    controls: [...new Set([...controls, ...(hooks.controls ?? [])])],
    extensions: [...new Set(extensions)].filter((oid) => server.allowsOperation(oid, session)),
  };
}

function descriptions(schema: Schema): Record<string, string[]> {
  // RFC 4512 §4.1.4: what an extensible match may combine. Parts of values have a filter of their own.
  const uses = schema.matchingRules
    .filter(({ kind }) => kind !== 'substrings')
    .map((rule) => ({ rule, types: schema.attributeTypes.filter((type) => isUsable(rule, type)) }));
  return {
    attributeTypes: schema.attributeTypes.map((type) => formatDescription(type.description)),
    objectClasses: schema.objectClasses.map((item) => formatDescription(item.description)),
    dITContentRules: [...schema.contentRules.values()].map((rule) => formatDescription(rule.description)),
    ldapSyntaxes: schema.syntaxes.map(({ oid, description }) =>
      formatDescription({ kind: 'ldapSyntax', oid, description }),
    ),
    matchingRules: schema.matchingRules.map(({ oid, name, syntax }) =>
      formatDescription({ kind: 'matchingRule', oid, names: [name], obsolete: false, syntax }),
    ),
    matchingRuleUse: uses
      .filter(({ types }) => types.length > 0)
      .map(
        ({ rule, types }) =>
          `( ${rule.oid} NAME '${rule.name}' APPLIES ( ${types.map((t) => t.name).join(' $ ')} ) )`,
      ),
  };
}
