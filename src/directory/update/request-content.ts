/**
 * The attributes that an add or modify brings, looked at before any entry is: types known, values of their syntax, distinct, not
 * too many, writable. So the answer to a malformed request says nothing about what the directory holds.
 */
import type { Attribute } from '../../ldap/message.ts';
import type { DraftAttribute } from '../entry/draft.ts';
import { descriptionProblem } from '../entry/dictionary.ts';
import { refuse } from '../refusal.ts';
import type { UpdateContext } from './context.ts';
import { canonicalClasses, checkDistinct, isKnownClass } from './entry-rules.ts';

/** `how`: whether the nth attribute may come without values, and whether its values are to be taken out. */
export function readContent(
  { database, computed }: UpdateContext,
  given: readonly Attribute[],
  how: (n: number) => { readonly mayBeEmpty: boolean; readonly deletes: boolean },
): DraftAttribute[] {
  for (let n = 0; n < given.length; n++) {
    const { type, values } = given[n] as Attribute;
    if (values.length === 0 && !how(n).mayBeEmpty)
      refuse('protocolError', `${type.slice(0, 100)}: no values`);
  }
  const content: DraftAttribute[] = [];
  for (let n = 0; n < given.length; n++) {
    const { type: text, values } = given[n] as Attribute;
    const descriptor =
      database.dictionary.use(text) ??
      refuse('undefinedAttributeType', `${text.slice(0, 100)}: ${descriptionProblem(database.schema, text)}`);
    const { type } = descriptor;
    if (type.obsolete && values.length > 0 && !how(n).deletes)
      refuse('constraintViolation', `${descriptor.text}: attribute type is obsolete`);
    const isClass = type.name === 'objectClass';
    for (const value of values) {
      if (!(isClass && isKnownClass(database, value)) && !type.syntax.accepts(value, database.names))
        refuse('invalidAttributeSyntax', `${descriptor.text}: value is not a ${type.syntax.description}`);
    }
    const attribute = { descriptor, values: isClass ? canonicalClasses(database, values) : values.slice() };
    if (!how(n).deletes) checkDistinct(database, attribute);
    content.push(attribute);
  }
  for (const { descriptor } of content) {
    if (descriptor.type.noUserModification || computed.has(descriptor.type))
      refuse('constraintViolation', `${descriptor.text}: no user modification allowed`);
  }
  return content;
}
