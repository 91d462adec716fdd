/**
 * Attributes that are not stored as such: operational ones kept in binary or known from the tree (RFC 4512 §3.4, RFC 4530,
 * RFC 5020), and those an owner of the directory computes when they are read.
 */
import { formatGeneralizedTime } from '../../asn1/time.ts';
import { encodeDer } from '../../asn1/writer.ts';
import { PosternError } from '../../base/error.ts';
import type { ChangeNumber, Database } from '../database.ts';
import type { Session } from '../session.ts';
import type { AttributeType, ObjectClass } from '../schema/schema.ts';
import { Entry } from './entry.ts';
import { type EntryView, valuesBetween, valuesStart } from './layout.ts';

/** What an owner hands in: values computed when an entry is read or matched. Never stored, never writable. */
export interface VirtualAttribute {
  /** Name of an attribute type of the schema. */
  readonly attribute: string;
  /** The entries it may be asked of: those at or below this DN. */
  readonly subtree: string;
  /** Its values for one entry; empty when it has none there. Must not wait. A function without parameters costs no copy of the entry. */
  compute(entry: Entry, session: Session): readonly Buffer[];
}

export interface ComputedAttribute {
  readonly type: AttributeType;
  /** The description as an OCTET STRING. */
  readonly wire: Buffer;
  values(id: number, view: EntryView, session: Session): readonly Buffer[];
}

export const SUBSCHEMA_DN = 'cn=Subschema';

export function uuidText(uuid: Buffer): string {
  return uuid.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/** entryCSN as OpenLDAP writes it; `server` is three hexadecimal digits. */
export function csnText(change: ChangeNumber, server: string): string {
  const micro = String((change.time % 1000) * 1000).padStart(6, '0');
  return `${formatGeneralizedTime(change.time).slice(0, 14)}.${micro}Z#${change.count.toString(16).padStart(6, '0')}#${server}#000000`;
}

/** The "server" in our CSNs, made of the digits of a run: cookies of another run don't fit. */
export function serverOf(run: string): string {
  return ((Number.parseInt(run.slice(0, 4), 16) & 0x0fff) | 1).toString(16).padStart(3, '0');
}

/** The most specific structural class among an entry's classes (RFC 4512 §2.4.2); undefined when there is none. */
export function structuralClass(database: Database, classes: readonly Buffer[]): ObjectClass | undefined {
  let found: ObjectClass | undefined;
  for (const value of classes) {
    const item = database.schema.objectClass(value.toString('latin1'));
    if (item?.kind === 'structural' && (found === undefined || item.lineage.has(found))) found = item;
  }
  return found;
}

/** Values of an attribute type in a view, options disregarded. */
export function viewValues(database: Database, view: EntryView, type: AttributeType): Buffer[] {
  for (let n = 0, count = view.attributeCount; n < count; n++) {
    if (database.dictionary.descriptor(view.descriptor(n)).type !== type) continue;
    return valuesBetween(view.buffer, valuesStart(view.buffer, view.attributeStart(n)), view.attributeEnd(n));
  }
  return [];
}

type Compute = (id: number, view: EntryView, database: Database) => string | undefined;

const OPERATIONAL: Readonly<Record<string, Compute>> = {
  structuralObjectClass: (_id, view, database) => {
    const type = database.schema.attributeType('objectClass');
    return type === undefined ? undefined : structuralClass(database, viewValues(database, view, type))?.name;
  },
  entryUUID: (_id, view) => uuidText(view.uuid()),
  creatorsName: (_id, view, database) => database.dictionary.name(view.creator()),
  createTimestamp: (_id, view) => formatGeneralizedTime(view.created()),
  entryCSN: (_id, view, database) =>
    csnText({ time: view.changed(), count: view.changeCount() }, serverOf(database.run)),
  modifiersName: (_id, view, database) => database.dictionary.name(view.modifier()),
  modifyTimestamp: (_id, view) => formatGeneralizedTime(view.changed()),
  entryDN: (id, _view, database) => database.dnText(id),
  subschemaSubentry: () => SUBSCHEMA_DN,
  hasSubordinates: (id, _view, database) => (database.tree.childCount(id) > 0 ? 'TRUE' : 'FALSE'),
};

const NONE: readonly Buffer[] = [];

/** Every computed attribute by type. Throws `usage` for a virtual attribute whose type or subtree makes no sense. */
export function computedAttributes(
  database: Database,
  virtual: readonly VirtualAttribute[],
): Map<AttributeType, ComputedAttribute> {
  const table = new Map<AttributeType, ComputedAttribute>();
  const wire = (type: AttributeType): Buffer => encodeDer((writer) => writer.text(type.name));
  for (const [name, compute] of Object.entries(OPERATIONAL)) {
    const type = database.schema.attributeType(name);
    if (type === undefined) continue;
    const values = (id: number, view: EntryView): readonly Buffer[] => {
      const text = compute(id, view, database);
      return text === undefined || text === '' ? NONE : [Buffer.from(text)];
    };
    table.set(type, { type, wire: wire(type), values });
  }
  for (const item of virtual) {
    const type = database.schema.attributeType(item.attribute);
    const base = database.names.read(item.subtree);
    if (type === undefined || base === undefined)
      throw new PosternError('usage', `virtual attribute ${item.attribute} has no known type or subtree`);
    database.watchName(base);
    let baseId = 0;
    let structure = -1;
    const earlier = table.get(type);
    const values = (id: number, view: EntryView, session: Session): readonly Buffer[] => {
      if (structure !== database.structure) {
        baseId = database.resolve(base);
        if (baseId !== 0) database.watch(baseId);
        structure = database.structure;
      }
      if (baseId === 0 || !database.tree.isWithin(id, baseId))
        return earlier?.values(id, view, session) ?? NONE;
      if (item.compute.length === 0) return (item.compute as () => readonly Buffer[])();
      return item.compute(
        new Entry(database, id, database.dnText(id), Buffer.from(view.buffer.subarray(view.start, view.end))),
        session,
      );
    };
    table.set(type, { type, wire: wire(type), values });
  }
  return table;
}
