/** Compare (RFC 4511 §4.10). */
import type { CompareRequest, Filter } from '../../ldap/message.ts';
import { DescriptorSet } from '../entry/entry.ts';
import { refuse } from '../refusal.ts';
import type { AttributeType } from '../schema/schema.ts';
import { assertedForm, compileFilter, isAddressType } from '../search/filter.ts';
import { TRUE, UNDEFINED } from '../search/matcher.ts';
import { visibleAncestor } from '../update/context.ts';
import type { Client } from './client.ts';

/** True or false; everything else is a refusal. An attribute the session may not compare is one that isn't there. */
export function compareEntry(
  { directory, session }: Client,
  request: CompareRequest,
  assertion: Filter | undefined,
): boolean {
  const { database, access, computed, filterOptions } = directory;
  const name = database.names.read(request.dn);
  const set =
    DescriptorSet.of(database, request.attribute) ??
    refuse('undefinedAttributeType', `${request.attribute.slice(0, 100)}: attribute type is unknown`);
  const rule = set.type.equality;
  if (rule === undefined) refuse('inappropriateMatching', `${request.attribute}: no equality rule`);
  if (!isAddressType(filterOptions, set.type) && assertedForm(rule, request.value, database) === undefined)
    refuse(
      'invalidAttributeSyntax',
      `${request.attribute}: assertion is not a ${set.type.syntax.description}`,
    );
  const id = database.resolve(name);
  if (id === 0 || !access.view(session, id).visible) {
    return refuse(
      'noSuchObject',
      '',
      visibleAncestor({ database, access, session }, database.nearest(name?.parent)),
    );
  }
  const entry = directory.readEntry(id) ?? refuse('noSuchObject');
  const context = { database, computed, session, view: entry.view, id, access: access.view(session, id) };
  if (assertion !== undefined && compileFilter(assertion, filterOptions).match(context) !== TRUE)
    refuse('assertionFailed');
  const rights = access.view(session, id);
  if (!rights.may('compare', set.type))
    refuse('noSuchAttribute', `${request.attribute}: the entry has no such attribute`);
  // The right to compare stands in for the right to search, type by type: subtypes may have others.
  const all = { ...context, access: { maySearch: (type: AttributeType) => rights.may('compare', type) } };
  const present = compileFilter({ kind: 'present', attribute: request.attribute }, filterOptions).match(all);
  if (present !== TRUE) refuse('noSuchAttribute', `${request.attribute}: the entry has no such attribute`);
  const truth = compileFilter(
    { kind: 'equality', attribute: request.attribute, value: request.value },
    filterOptions,
  ).match(all);
  if (truth === UNDEFINED)
    refuse(
      'invalidAttributeSyntax',
      `${request.attribute}: assertion is not a ${set.type.syntax.description}`,
    );
  return truth === TRUE;
}
