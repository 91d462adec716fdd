/**
 * The two entries that are not in the store: root DSE (RFC 4512 §5.1) and subschema (§4.2). They are made as stored entries
 * are, so that filters and selections treat them alike. Both say exactly what is supported.
 */
import { CONTROL, EXTENDED, FEATURE } from '../../ldap/control.ts';
import type { Directory } from '../directory.ts';
import { SUBSCHEMA_DN } from '../entry/computed.ts';
import { type Draft, encodeDraft } from '../entry/draft.ts';
import { EntryView } from '../entry/layout.ts';
import { normalName } from '../entry/name.ts';
import { formatDescription } from '../schema/description.ts';
import type { Schema } from '../schema/schema.ts';
import { SUPPORTED_CONTROLS } from './request-controls.ts';

export interface SpecialEntry {
  readonly view: EntryView;
}

const SUPPORTED_EXTENSIONS = [
  EXTENDED.whoAmI,
  EXTENDED.cancel,
  EXTENDED.startTransaction,
  EXTENDED.endTransaction,
];

export class SpecialEntries {
  readonly #directory: Directory;
  #subschema: SpecialEntry | undefined;
  #subschemaNormal: Buffer;
  #rootDse: SpecialEntry | undefined;
  readonly #vendorVersion: string;
  readonly #mechanisms: readonly string[];

  constructor(directory: Directory, vendorVersion: string, mechanisms: readonly string[]) {
    this.#mechanisms = mechanisms;
    this.#directory = directory;
    this.#vendorVersion = vendorVersion;
    this.#subschemaNormal = normalName(directory.database.names.read(SUBSCHEMA_DN));
  }

  /** `startTls`: whether StartTLS can be asked for on this connection. */
  rootDse(startTls: boolean): SpecialEntry {
    if (!startTls && this.#rootDse !== undefined) return this.#rootDse;
    const { database, hooks } = this.#directory;
    const extensions = [
      ...SUPPORTED_EXTENSIONS,
      ...Object.keys(hooks.extended ?? {}),
      ...(startTls ? [EXTENDED.startTls] : []),
    ];
    const entry = this.#make('', {
      objectClass: ['top', 'extensibleObject'],
      namingContexts: database.contexts.map(({ dn }) => dn),
      subschemaSubentry: [SUBSCHEMA_DN],
      supportedLDAPVersion: ['3'],
      supportedControl: [
        ...SUPPORTED_CONTROLS,
        ...(hooks.controls ?? []).filter((oid) => oid !== CONTROL.idempotent),
      ],
      supportedExtension: [...new Set(extensions)],
      supportedFeatures: Object.values(FEATURE),
      supportedSASLMechanisms: this.#mechanisms,
      vendorName: ['Postern'],
      vendorVersion: [this.#vendorVersion],
    });
    if (!startTls) this.#rootDse = entry;
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

function descriptions(schema: Schema): Record<string, string[]> {
  const uses = schema.matchingRules.map((rule) => {
    const types = schema.attributeTypes.filter(
      (t) => t.equality === rule || t.ordering === rule || t.substrings === rule,
    );
    return { rule, types };
  });
  return {
    attributeTypes: schema.attributeTypes.map((type) => formatDescription(type.description)),
    objectClasses: schema.objectClasses.map((item) => formatDescription(item.description)),
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
