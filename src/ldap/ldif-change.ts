/**
 * What a record of LDIF asks for: an entry (content), or a change (RFC 2849 change records, with `increment` of RFC 4525). Knows nothing of schema
 * and carries nothing out.
 */
import { gatherAttributes } from './ldif.ts';
import { ldifError, type LdifField, type LdifRaw, ldifText } from './ldif-lines.ts';
import type { AddRequest, DeleteRequest, ModifyDnRequest, ModifyRequest, Modification } from './message.ts';

export interface LdifUpdate {
  /** `content`: a record without a change type. */
  readonly kind: 'content' | 'change';
  readonly request: AddRequest | DeleteRequest | ModifyRequest | ModifyDnRequest;
  readonly line: number;
}

const MODIFICATIONS = new Set(['add', 'delete', 'replace', 'increment']);

/** Throws `decode` with the line. */
export function readLdifUpdate(raw: LdifRaw): LdifUpdate {
  const { dn, line } = raw;
  const fields = withoutControls(raw.fields);
  const [first] = fields;
  if (first?.type.toLowerCase() !== 'changetype') {
    if (fields.length === 0) throw ldifError('an entry needs attributes', line);
    const late = fields.find(({ type }) => type.toLowerCase() === 'changetype');
    if (late !== undefined) throw ldifError('changetype belongs directly after the dn', late.line);
    return { kind: 'content', request: { op: 'addRequest', dn, attributes: gatherAttributes(fields) }, line };
  }
  const rest = fields.slice(1);
  return { kind: 'change', request: readChange(first, dn, rest), line };
}

function readChange(change: LdifField, dn: string, fields: readonly LdifField[]): LdifUpdate['request'] {
  const type = ldifText(change.value, 'changetype', change.line).trim().toLowerCase();
  switch (type) {
    case 'add':
      if (fields.length === 0) throw ldifError('an entry needs attributes', change.line);
      return { op: 'addRequest', dn, attributes: gatherAttributes(fields) };
    case 'delete':
      if (fields[0] !== undefined)
        throw ldifError('a delete has nothing after its change type', fields[0].line);
      return { op: 'deleteRequest', dn };
    case 'modify':
      return { op: 'modifyRequest', dn, changes: readModifications(fields) };
    case 'moddn':
    case 'modrdn':
      return readRename(change, dn, fields);
    default:
      throw ldifError(`change type ${type.slice(0, 40)} is unknown`, change.line);
  }
}

function readModifications(fields: readonly LdifField[]): Modification[] {
  const changes: Modification[] = [];
  for (let at = 0; at < fields.length; ) {
    const head = fields[at] as LdifField;
    const kind = head.type.toLowerCase();
    if (!MODIFICATIONS.has(kind))
      throw ldifError('expected add:, delete:, replace: or increment:', head.line);
    const type = ldifText(head.value, kind, head.line).trim();
    const values: Buffer[] = [];
    for (at++; at < fields.length && fields[at]?.type !== '-'; at++) {
      const field = fields[at] as LdifField;
      if (field.type.toLowerCase() !== type.toLowerCase())
        throw ldifError(`expected a value of ${type.slice(0, 100)}, or a line with "-"`, field.line);
      values.push(field.value);
    }
    // The last one's "-" is left out by many; it cannot be mistaken for anything.
    at++;
    if (values.length === 0 && (kind === 'add' || kind === 'increment'))
      throw ldifError(`${kind} needs a value`, head.line);
    changes.push({ kind: kind as Modification['kind'], attribute: { type, values } });
  }
  return changes;
}

function readRename(change: LdifField, dn: string, fields: readonly LdifField[]): ModifyDnRequest {
  const [newRdn, deleteOld, superior, ...more] = fields;
  if (newRdn?.type.toLowerCase() !== 'newrdn') throw ldifError('expected newrdn:', (newRdn ?? change).line);
  if (deleteOld?.type.toLowerCase() !== 'deleteoldrdn')
    throw ldifError('expected deleteoldrdn:', (deleteOld ?? newRdn).line);
  const flag = deleteOld.value.toString('latin1').trim();
  if (flag !== '0' && flag !== '1') throw ldifError('deleteoldrdn is 0 or 1', deleteOld.line);
  const wrong = superior?.type.toLowerCase() === 'newsuperior' || superior === undefined ? more[0] : superior;
  if (wrong !== undefined) throw ldifError('nothing but newsuperior: can follow here', wrong.line);
  return {
    op: 'modifyDnRequest',
    dn,
    newRdn: ldifText(newRdn.value, 'newrdn', newRdn.line),
    deleteOldRdn: flag === '1',
    ...(superior !== undefined && { newSuperior: ldifText(superior.value, 'newsuperior', superior.line) }),
  };
}

/** RFC 2849 note 11: a control that is critical and not understood makes the record unusable; others may be left out. */
function withoutControls(fields: readonly LdifField[]): readonly LdifField[] {
  let at = 0;
  for (; fields[at]?.type.toLowerCase() === 'control'; at++) {
    const { value, line } = fields[at] as LdifField;
    const match = /^([0-9.]+)(?: +(true|false))?(?::.*)?$/is.exec(value.toString('latin1').trim());
    if (match === null) throw ldifError('expected "control: OID [true|false] [value]"', line);
    if (match[2]?.toLowerCase() === 'true')
      throw ldifError(`control ${match[1]} is not supported here`, line);
  }
  return fields.slice(at);
}
