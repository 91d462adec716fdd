/** Modify (RFC 4511 §4.6) with increment (RFC 4525): changes applied in order to a draft, which then has to satisfy the schema. */
import type { Modification, ModifyRequest } from '../../ldap/message.ts';
import { parseDn } from '../../ldap/dn.ts';
import type { Database } from '../database.ts';
import type { Draft, DraftAttribute } from '../entry/draft.ts';
import { type Descriptor, splitDescription } from '../entry/dictionary.ts';
import { refuse } from '../refusal.ts';
import { SYNTAX } from '../schema/syntax.ts';
import { checkDuplicates, checkSingle, normalOrRaw } from './entry-rules.ts';
import { readContent } from './request-content.ts';
import { ValueSets } from './value-sets.ts';
import { stamp, type UpdateContext } from './context.ts';

/** With more changes than that, values are looked up in sets: comparing all of them for each change would take quadratic time. */
const FEW_CHANGES = 2;

/** A change with its attribute looked up and its values checked. */
export interface ReadyChange {
  readonly kind: Modification['kind'];
  readonly descriptor: Descriptor;
  readonly values: readonly Buffer[];
}

/** What RFC 4511 §4.6 and RFC 4525 §3 say of numbers of values. */
export function checkForm({ changes }: ModifyRequest): void {
  for (const { kind, attribute } of changes) {
    const text = attribute.type.slice(0, 100);
    if (kind === 'increment' && attribute.values.length !== 1)
      refuse('protocolError', `${text}: increment takes exactly one value`);
    if (kind === 'add' && attribute.values.length === 0) refuse('protocolError', `${text}: no values`);
  }
}

/** The changes of a request; refused before any entry is looked at. */
export function readChanges(context: UpdateContext, { changes }: ModifyRequest): ReadyChange[] {
  for (const { kind, attribute } of changes) {
    const name = kind === 'increment' ? splitDescription(attribute.type)?.name : undefined;
    const type = name === undefined ? undefined : context.database.schema.attributeType(name);
    if (type !== undefined && type.syntax.oid !== SYNTAX.integer)
      refuse('constraintViolation', `${type.name}: is no integer`);
  }
  const attributes = changes.map(({ attribute }) => attribute);
  const content = readContent(context, attributes, (n) => {
    const kind = changes[n]?.kind;
    return { mayBeEmpty: kind === 'delete' || kind === 'replace', deletes: kind === 'delete' };
  });
  return content.map(({ descriptor, values }, n) => ({
    kind: (changes[n] as Modification).kind,
    descriptor,
    values,
  }));
}

export function modifyEntry(context: UpdateContext, id: number, changes: readonly ReadyChange[]): void {
  const { database, change, access, session, inTransaction } = context;
  const draft = database.draft(id) ?? refuse('noSuchObject');
  const view = access.view(session, id);
  const touched = new Set<Descriptor>();
  const classes = classValues(draft);
  for (const { kind, descriptor } of changes) {
    if (!view.may('write', descriptor.type, inTransaction))
      refuse('insufficientAccessRights', `no right to write ${descriptor.text} here`);
    // What another change would find there, or not, would tell what stands there.
    if (kind !== 'replace' && !view.mayLearn(descriptor.type))
      refuse('insufficientAccessRights', `${descriptor.text} can only be replaced as a whole`);
    touched.add(descriptor);
  }
  const sets = changes.length > FEW_CHANGES ? new ValueSets(database) : undefined;
  for (const ready of changes) applyChange(database, draft, ready, sets);
  sets?.finish(draft);
  for (const attribute of draft.attributes) if (touched.has(attribute.descriptor)) checkSingle(attribute);
  checkName(database, draft, touched);
  context.rules.checkStructure(classes, classValues(draft));
  context.rules.check(draft, () => database.dnText(id));
  stamp(context, draft);
  change.put(id, draft);
}

function classValues(draft: Draft): readonly Buffer[] {
  return draft.attributes.find((a) => a.descriptor.text === 'objectClass')?.values ?? [];
}

function applyChange(
  database: Database,
  draft: Draft,
  { kind, descriptor, values: given }: ReadyChange,
  sets: ValueSets | undefined,
): void {
  const found = draft.attributes.find((a) => a.descriptor === descriptor);
  const oneByOne = kind === 'add' || (kind === 'delete' && given.length > 0);
  if (found !== undefined && descriptor.type.equality !== undefined && oneByOne) {
    const set = sets?.of(found);
    if (set !== undefined) {
      if (kind === 'add') set.add(given);
      else if (set.delete(given) === 0) {
        sets?.forget(found);
        remove(draft, found);
      }
      return;
    }
  } else if (found !== undefined) sets?.forget(found);
  switch (kind) {
    case 'add':
      if (found === undefined) draft.attributes.push({ descriptor, values: [...given] });
      // RFC 4512 §2.5.1: without an equality rule, values are not added one by one.
      else if (descriptor.type.equality === undefined)
        refuse('inappropriateMatching', `${descriptor.text}: no equality rule; replace the whole attribute`);
      else {
        found.values = [...found.values, ...given];
        checkDuplicates(database, found);
      }
      return;
    case 'delete':
      if (given.length > 0 && descriptor.type.equality === undefined)
        refuse('inappropriateMatching', `${descriptor.text}: no equality rule; delete the whole attribute`);
      if (found === undefined)
        refuse('noSuchAttribute', `${descriptor.text}: the entry has no such attribute`);
      if (given.length === 0) remove(draft, found);
      else deleteValues(database, draft, found, given);
      return;
    case 'replace':
      if (given.length === 0) {
        if (found !== undefined) remove(draft, found);
      } else if (found === undefined) draft.attributes.push({ descriptor, values: [...given] });
      else found.values = [...given];
      return;
    case 'increment':
      increment(found, descriptor, given);
  }
}

function remove(draft: Draft, attribute: DraftAttribute): void {
  draft.attributes.splice(draft.attributes.indexOf(attribute), 1);
}

function deleteValues(
  database: Database,
  draft: Draft,
  found: DraftAttribute,
  given: readonly Buffer[],
): void {
  const { type, text } = found.descriptor;
  const gone = new Map(given.map((value) => [normalOrRaw(database, type, value).toString('latin1'), true]));
  const left = found.values.filter(
    (value) => !gone.delete(normalOrRaw(database, type, value).toString('latin1')),
  );
  if (gone.size > 0) refuse('noSuchAttribute', `${text}: the attribute has no such value`);
  if (left.length === 0) remove(draft, found);
  else found.values = left;
}

/** RFC 4525 §3 */
function increment(
  found: DraftAttribute | undefined,
  descriptor: Descriptor,
  given: readonly Buffer[],
): void {
  const step = given[0] ?? refuse('protocolError', `${descriptor.text}: increment takes exactly one value`);
  if (descriptor.type.syntax.oid !== SYNTAX.integer)
    refuse('constraintViolation', `${descriptor.text}: is no integer`);
  if (found === undefined) refuse('noSuchAttribute', `${descriptor.text}: the entry has no such attribute`);
  const by = integer(step);
  // Its syntax was checked with the request.
  if (by === undefined) overflow(descriptor);
  found.values = found.values.map((value) => {
    const sum = (integer(value) ?? overflow(descriptor)) + by;
    return Buffer.from(String(sum > MOST || sum < -MOST ? overflow(descriptor) : sum));
  });
}

/** Digits that counting goes up to: integers of any length can be stored, but are not calculated with. */
const MOST_DIGITS = 100;
const MOST = 10n ** BigInt(MOST_DIGITS) - 1n;

function overflow({ text }: Descriptor): never {
  return refuse('constraintViolation', `${text}: increments end at ${MOST_DIGITS} digits`);
}

function integer(value: Buffer): bigint | undefined {
  const text = value.length <= MOST_DIGITS + 1 ? value.toString('latin1') : '';
  return /^-?\d+$/.test(text) ? BigInt(text) : undefined;
}

/** RFC 4511 §4.6: the values that name the entry must stay. */
function checkName(database: Database, draft: Draft, touched: ReadonlySet<Descriptor>): void {
  const rdn = parseDn(draft.rdn.toString('utf8'))[0] ?? [];
  for (const { type: name, value } of rdn) {
    const type = database.schema.attributeType(name);
    if (type === undefined || ![...touched].some((d) => d.type === type)) continue;
    const attribute = draft.attributes.find(
      (a) => a.descriptor.type === type && a.descriptor.options.length === 0,
    );
    const wanted = normalOrRaw(database, type, value);
    if (attribute?.values.some((v) => normalOrRaw(database, type, v).equals(wanted)) !== true) {
      refuse('notAllowedOnRDN', `${type.name}: value stands in the entry's name`);
    }
  }
}
