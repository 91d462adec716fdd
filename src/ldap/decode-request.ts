/** Requests of RFC 4511 §4.2 to §4.12, from the operation's identifier octet on. */
import type { BerReader } from '../asn1/reader.ts';
import { contextConstructed, contextTag, TAG } from '../asn1/tag.ts';
import { decodeAttribute, decodeAttributes, decodeTexts } from './decode-attribute.ts';
import { decodeFilter } from './decode-filter.ts';
import type { DecodeLimits } from './limits.ts';
import type {
  Authentication,
  BindRequest,
  CompareRequest,
  DerefAliases,
  ExtendedRequest,
  Modification,
  ModifyDnRequest,
  ModifyKind,
  ModifyRequest,
  Request,
  Scope,
  SearchRequest,
} from './message.ts';
import { MAX_INT } from './max-int.ts';
import { OPERATION_TAG } from './operation-tag.ts';

const SCOPES: readonly Scope[] = ['base', 'one', 'subtree'];
const DEREF_ALIASES: readonly DerefAliases[] = ['never', 'searching', 'findingBase', 'always'];
const MODIFY_KINDS: readonly ModifyKind[] = ['add', 'delete', 'replace', 'increment'];

/** Undefined when `tag` isn't a request's. */
export function decodeRequest(reader: BerReader, tag: number, limits: DecodeLimits): Request | undefined {
  switch (tag) {
    case OPERATION_TAG.bindRequest:
      return decodeBind(reader);
    case OPERATION_TAG.unbindRequest:
      reader.null(tag);
      return { op: 'unbindRequest' };
    case OPERATION_TAG.searchRequest:
      return decodeSearch(reader, limits);
    case OPERATION_TAG.modifyRequest:
      return decodeModify(reader, limits);
    case OPERATION_TAG.addRequest: {
      const outer = reader.enter(tag);
      const dn = reader.text();
      const attributes = decodeAttributes(reader, limits);
      reader.skipRest(outer);
      return { op: 'addRequest', dn, attributes };
    }
    case OPERATION_TAG.deleteRequest:
      return { op: 'deleteRequest', dn: reader.text(tag) };
    case OPERATION_TAG.modifyDnRequest:
      return decodeModifyDn(reader);
    case OPERATION_TAG.compareRequest:
      return decodeCompare(reader);
    case OPERATION_TAG.abandonRequest:
      return { op: 'abandonRequest', messageId: reader.integer(0, MAX_INT, tag) };
    case OPERATION_TAG.extendedRequest:
      return decodeExtended(reader);
    default:
      return undefined;
  }
}

function decodeBind(reader: BerReader): BindRequest {
  const outer = reader.enter(OPERATION_TAG.bindRequest);
  const version = reader.integer(1, 127);
  const name = reader.text();
  const authentication = decodeAuthentication(reader);
  reader.skipRest(outer);
  return { op: 'bindRequest', version, name, authentication };
}

function decodeAuthentication(reader: BerReader): Authentication {
  if (reader.peek() === contextTag(0)) return { kind: 'simple', password: reader.octets(contextTag(0)) };
  if (reader.peek() !== contextConstructed(3)) {
    // Another choice is well-formed (RFC 4511 §4, extensibility) but unsupported, as is a mechanism without a name.
    if ((reader.peek() & 0xc0) !== 0x80) reader.fail('expected an authentication');
    reader.skip();
    return { kind: 'sasl', mechanism: '' };
  }
  const outer = reader.enter(contextConstructed(3));
  const mechanism = reader.text();
  const credentials = reader.peek() === TAG.octetString ? reader.octets() : undefined;
  reader.skipRest(outer);
  return credentials === undefined ? { kind: 'sasl', mechanism } : { kind: 'sasl', mechanism, credentials };
}

function decodeSearch(reader: BerReader, limits: DecodeLimits): SearchRequest {
  const outer = reader.enter(OPERATION_TAG.searchRequest);
  const base = reader.text();
  const scope = SCOPES[reader.enumerated(2)] as Scope;
  const derefAliases = DEREF_ALIASES[reader.enumerated(3)] as DerefAliases;
  const sizeLimit = reader.integer(0, MAX_INT);
  const timeLimit = reader.integer(0, MAX_INT);
  const typesOnly = reader.boolean();
  const filter = decodeFilter(reader, limits);
  const selection = reader.enter(TAG.sequence);
  const attributes = decodeTexts(reader, limits.attributes);
  reader.leave(selection);
  reader.skipRest(outer);
  return {
    op: 'searchRequest',
    base,
    scope,
    derefAliases,
    sizeLimit,
    timeLimit,
    typesOnly,
    filter,
    attributes,
  };
}

function decodeModify(reader: BerReader, limits: DecodeLimits): ModifyRequest {
  const outer = reader.enter(OPERATION_TAG.modifyRequest);
  const dn = reader.text();
  const list = reader.enter(TAG.sequence);
  const changes: Modification[] = [];
  let room = limits.values;
  while (reader.more) {
    if (changes.length >= limits.attributes) reader.fail('too many changes');
    const change = reader.enter(TAG.sequence);
    const kind = MODIFY_KINDS[reader.enumerated(3)] as ModifyKind;
    const attribute = decodeAttribute(reader, room);
    room -= attribute.values.length;
    changes.push({ kind, attribute });
    reader.skipRest(change);
  }
  reader.leave(list);
  reader.skipRest(outer);
  return { op: 'modifyRequest', dn, changes };
}

function decodeModifyDn(reader: BerReader): ModifyDnRequest {
  const outer = reader.enter(OPERATION_TAG.modifyDnRequest);
  const dn = reader.text();
  const newRdn = reader.text();
  const deleteOldRdn = reader.boolean();
  const newSuperior = reader.peek() === contextTag(0) ? reader.text(contextTag(0)) : undefined;
  reader.skipRest(outer);
  const request = { op: 'modifyDnRequest', dn, newRdn, deleteOldRdn } as const;
  return newSuperior === undefined ? request : { ...request, newSuperior };
}

function decodeCompare(reader: BerReader): CompareRequest {
  const outer = reader.enter(OPERATION_TAG.compareRequest);
  const dn = reader.text();
  const assertion = reader.enter(TAG.sequence);
  const attribute = reader.text();
  const value = reader.octets();
  reader.skipRest(assertion);
  reader.skipRest(outer);
  return { op: 'compareRequest', dn, attribute, value };
}

function decodeExtended(reader: BerReader): ExtendedRequest {
  const outer = reader.enter(OPERATION_TAG.extendedRequest);
  const oid = reader.text(contextTag(0));
  const value = reader.peek() === contextTag(1) ? reader.octets(contextTag(1)) : undefined;
  reader.skipRest(outer);
  return value === undefined ? { op: 'extendedRequest', oid } : { op: 'extendedRequest', oid, value };
}
