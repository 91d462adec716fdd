/** Add (RFC 4511 §4.7): from a request to a draft that the schema accepts, put in its place. */
import type { AddRequest } from '../../ldap/message.ts';
import type { Draft, DraftAttribute } from '../entry/draft.ts';
import { LONGEST_RDN } from '../entry/draft.ts';
import { type Name, type NameValue, showName } from '../entry/name.ts';
import { refuse } from '../refusal.ts';
import { checkDistinct, checkNaming, normalOrRaw } from './entry-rules.ts';
import { readContent } from './request-content.ts';
import { mayKnow, nameOf, stamp, type Update, type UpdateContext, visibleAncestor } from './context.ts';

/** Adds an entry, or when it is idempotent gives an existing one this content; returns its number. */
export function addEntry(context: UpdateContext, update: Update, request: AddRequest): number {
  const { database, access, session, inTransaction } = context;
  const replace = update.idempotent === true;
  const name = nameOf(context, update);
  if (name === undefined) refuse('unwillingToPerform', 'the root DSE cannot be added');
  if (request.attributes.length === 0) refuse('protocolError', 'an entry needs attributes');
  const attributes = readContent(context, request.attributes, () => NEW);
  for (let n = 1; n < attributes.length; n++) {
    const { descriptor } = attributes[n] as DraftAttribute;
    if (attributes.findIndex((a) => a.descriptor === descriptor) < n)
      refuse('attributeOrValueExists', `${descriptor.text}: attribute occurs twice`);
  }
  addNameValues(context, attributes, name.parts);
  context.rules.check({ attributes }, () => showName(name));
  const place = placeOf(context, name);
  const existing = database.child(place.parent, place.normalRdn);
  if (existing !== 0 && !replace) {
    const view = access.view(session, existing);
    // The same words as for an entry that isn't there.
    if (!view.visible && !view.mayEntry('add', inTransaction)) noRight(attributes[0]);
    refuse('entryAlreadyExists');
  }
  const draft = { ...place, attributes } as Draft;
  const { time } = stamp(context, draft);
  const before = existing === 0 ? undefined : database.draft(existing);
  draft.uuid = before?.uuid ?? context.uuids.next();
  draft.created = before?.created ?? time;
  draft.creator = before?.creator ?? context.nameId;
  // The view of an entry depends on its place, so the right to add is asked when it stands there; a refusal undoes it.
  let id = existing;
  if (existing === 0) id = context.change.add(draft);
  else context.change.put(existing, draft);
  const view = access.view(session, id);
  const forbidden = attributes.find(({ descriptor }) => !view.may('add', descriptor.type, inTransaction));
  if (forbidden !== undefined) noRight(forbidden);
  return id;
}

function noRight(attribute: DraftAttribute | undefined): never {
  refuse('insufficientAccessRights', `no right to add ${attribute?.descriptor.text} here`);
}

const NEW = { mayBeEmpty: false, deletes: false };

/** Where an entry of that name hangs. Refuses when its parent doesn't exist. */
export function placeOf(context: UpdateContext, name: Name): Pick<Draft, 'parent' | 'rdn' | 'normalRdn'> {
  const { database } = context;
  const home = database.contextOf(name);
  if (home === undefined) refuse('noSuchObject', 'no naming context holds this name');
  if (name.normalRdn.length > LONGEST_RDN / 2) refuse('namingViolation', 'relative name is too long');
  if (home.name.depth === name.depth)
    return { parent: 0, rdn: Buffer.from(showName(name)), normalRdn: home.normal };
  const parent = database.resolve(name.parent);
  if (parent === 0 || !mayAddBelow(context, parent))
    refuse(
      'noSuchObject',
      'the parent entry does not exist',
      visibleAncestor(context, database.nearest(name.parent)),
    );
  const { normalRdn } = name;
  return { parent, rdn: name.rdnIsNormal ? normalRdn : Buffer.from(name.rdn), normalRdn };
}

/** A parent that the session may not know of is none, unless it may add there. */
function mayAddBelow(context: UpdateContext, parent: number): boolean {
  const { access, session, inTransaction } = context;
  return mayKnow(context, parent) || access.viewBelow(session, parent).mayEntry('add', inTransaction);
}

/** RFC 4511 §4.7: the values of the RDN belong to the entry whether they were listed or not. */
export function addNameValues(
  { database, access }: UpdateContext,
  attributes: DraftAttribute[],
  parts: readonly NameValue[],
): void {
  for (const { type, value } of parts) {
    checkNaming(type);
    if (access.isSecret(type))
      refuse('namingViolation', `${type.name}: is secret, so it cannot stand in a name`);
    const attribute = attributes.find((a) => a.descriptor.type === type && a.descriptor.options.length === 0);
    if (attribute === undefined) {
      const descriptor =
        database.dictionary.use(type.name) ??
        refuse('undefinedAttributeType', `${type.name}: attribute type is unknown`);
      attributes.push({ descriptor, values: [value] });
      continue;
    }
    const wanted = normalOrRaw(database, type, value);
    if (attribute.values.some((v) => normalOrRaw(database, type, v).equals(wanted))) continue;
    attribute.values = [...attribute.values, value];
    checkDistinct(database, attribute);
  }
}
