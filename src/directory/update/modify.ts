/** Modify (RFC 4511 §4.6) with increment (RFC 4525): changes applied in order to a draft, which then has to satisfy the schema. */
import type { Modification, ModifyRequest } from '../../ldap/message.ts';
import { parseDn } from '../../ldap/dn.ts';
import type { Database } from '../database.ts';
import type { Draft, DraftAttribute } from '../entry/draft.ts';
import type { Descriptor } from '../entry/dictionary.ts';
import { refuse } from '../refusal.ts';
import { SYNTAX } from '../schema/syntax.ts';
import { canonicalClasses, checkValues, normalOrRaw } from './entry-rules.ts';
import { stamp, type UpdateContext } from './context.ts';

export function modifyEntry(context: UpdateContext, id: number, request: ModifyRequest): void {
  const { database, change, access, session, inTransaction } = context;
  const draft = database.draft(id) ?? refuse('noSuchObject');
  const view = access.view(session, id);
  const touched = new Set<Descriptor>();
  const classes = classValues(draft);
  for (const modification of request.changes) {
    const descriptor = descriptorOf(context, modification);
    if (!view.may('write', descriptor.type, inTransaction))
      refuse('insufficientAccessRights', `no right to write ${descriptor.text} here`);
    touched.add(descriptor);
    applyChange(database, draft, descriptor, modification);
  }
  for (const attribute of draft.attributes)
    if (touched.has(attribute.descriptor)) checkValues(database, attribute);
  context.rules.check(draft);
  if (context.rules.structural(classValues(draft)) !== context.rules.structural(classes)) {
    refuse('objectClassModsProhibited', 'objectClass: the structural class cannot be changed');
  }
  checkName(database, draft, touched);
  stamp(context, draft);
  change.put(id, draft);
}

function descriptorOf({ database, computed }: UpdateContext, { kind, attribute }: Modification): Descriptor {
  const text = attribute.type;
  const descriptor = database.dictionary.use(text) ?? database.dictionary.find(text);
  if (descriptor === undefined)
    refuse('undefinedAttributeType', `${text.slice(0, 100)}: attribute type is unknown`);
  const { type } = descriptor;
  if (type.noUserModification || computed.has(type))
    refuse('constraintViolation', `${descriptor.text}: no user modification allowed`);
  if (kind === 'add' && attribute.values.length === 0)
    refuse('protocolError', `${descriptor.text}: add without values`);
  return descriptor;
}

function classValues(draft: Draft): readonly Buffer[] {
  return draft.attributes.find((a) => a.descriptor.text === 'objectClass')?.values ?? [];
}

function applyChange(
  database: Database,
  draft: Draft,
  descriptor: Descriptor,
  { kind, attribute }: Modification,
): void {
  const found = draft.attributes.find((a) => a.descriptor === descriptor);
  const given =
    descriptor.type.name === 'objectClass' ? canonicalClasses(database, attribute.values) : attribute.values;
  switch (kind) {
    case 'add':
      if (found === undefined) draft.attributes.push({ descriptor, values: [...given] });
      else found.values = [...found.values, ...given];
      return;
    case 'delete':
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
  if (type.equality === undefined)
    refuse('inappropriateMatching', `${text}: no equality rule; delete the whole attribute`);
  const gone = new Map(given.map((value) => [normalOrRaw(database, type, value).toString('latin1'), true]));
  if (gone.size < given.length) refuse('attributeOrValueExists', `${text}: value occurs twice`);
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
  const [step, ...others] = given;
  if (step === undefined || others.length > 0)
    refuse('protocolError', `${descriptor.text}: increment takes exactly one value`);
  if (descriptor.type.syntax.oid !== SYNTAX.integer)
    refuse('constraintViolation', `${descriptor.text}: is no integer`);
  if (found === undefined) refuse('noSuchAttribute', `${descriptor.text}: the entry has no such attribute`);
  const by = integer(step);
  if (by === undefined) refuse('invalidAttributeSyntax', `${descriptor.text}: increment is no integer`);
  found.values = found.values.map((value) => Buffer.from(String((integer(value) ?? 0n) + by)));
}

function integer(value: Buffer): bigint | undefined {
  const text = value.length <= 100 ? value.toString('latin1') : '';
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
