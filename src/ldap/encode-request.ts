/** Requests of RFC 4511 §4.2 to §4.12 to the wire. */
import { contextConstructed, contextTag, TAG } from '../asn1/tag.ts';
import type { BerWriter } from '../asn1/writer.ts';
import { encodeFilter } from './encode-filter.ts';
import type {
  Attribute,
  BindRequest,
  ModifyDnRequest,
  ModifyRequest,
  Operation,
  Response,
  SearchRequest,
} from './message.ts';
import { OPERATION_TAG } from './operation-tag.ts';

const SCOPE = { base: 0, one: 1, subtree: 2 } as const;
const DEREF = { never: 0, searching: 1, findingBase: 2, always: 3 } as const;
const MODIFY = { add: 0, delete: 1, replace: 2, increment: 3 } as const;

/** Appends the operation and returns true, or returns false when it is a response. */
export function encodeRequest(
  writer: BerWriter,
  operation: Operation,
): operation is Exclude<Operation, Response> {
  switch (operation.op) {
    case 'bindRequest':
      encodeBind(writer, operation);
      return true;
    case 'unbindRequest':
      writer.null(OPERATION_TAG.unbindRequest);
      return true;
    case 'searchRequest':
      encodeSearch(writer, operation);
      return true;
    case 'modifyRequest':
      encodeModify(writer, operation);
      return true;
    case 'addRequest': {
      const mark = writer.open(OPERATION_TAG.addRequest);
      writer.text(operation.dn);
      const list = writer.open(TAG.sequence);
      for (const attribute of operation.attributes) encodeAttribute(writer, attribute);
      writer.close(list);
      writer.close(mark);
      return true;
    }
    case 'deleteRequest':
      writer.text(operation.dn, OPERATION_TAG.deleteRequest);
      return true;
    case 'modifyDnRequest':
      encodeModifyDn(writer, operation);
      return true;
    case 'compareRequest': {
      const mark = writer.open(OPERATION_TAG.compareRequest);
      writer.text(operation.dn);
      const assertion = writer.open(TAG.sequence);
      writer.text(operation.attribute);
      writer.octets(operation.value);
      writer.close(assertion);
      writer.close(mark);
      return true;
    }
    case 'abandonRequest':
      writer.integer(operation.messageId, OPERATION_TAG.abandonRequest);
      return true;
    case 'extendedRequest': {
      const mark = writer.open(OPERATION_TAG.extendedRequest);
      writer.text(operation.oid, contextTag(0));
      if (operation.value !== undefined) writer.octets(operation.value, contextTag(1));
      writer.close(mark);
      return true;
    }
    default:
      return false;
  }
}

/** PartialAttribute (RFC 4511 §4.1.7). */
export function encodeAttribute(writer: BerWriter, attribute: Attribute): void {
  const mark = writer.open(TAG.sequence);
  writer.text(attribute.type);
  const values = writer.open(TAG.set);
  for (const value of attribute.values) writer.octets(value);
  writer.close(values);
  writer.close(mark);
}

function encodeBind(writer: BerWriter, { version, name, authentication }: BindRequest): void {
  const mark = writer.open(OPERATION_TAG.bindRequest);
  writer.integer(version);
  writer.text(name);
  if (authentication.kind === 'simple') {
    writer.octets(authentication.password, contextTag(0));
  } else {
    const sasl = writer.open(contextConstructed(3));
    writer.text(authentication.mechanism);
    if (authentication.credentials !== undefined) writer.octets(authentication.credentials);
    writer.close(sasl);
  }
  writer.close(mark);
}

function encodeSearch(writer: BerWriter, request: SearchRequest): void {
  const mark = writer.open(OPERATION_TAG.searchRequest);
  writer.text(request.base);
  writer.enumerated(SCOPE[request.scope]);
  writer.enumerated(DEREF[request.derefAliases]);
  writer.integer(request.sizeLimit);
  writer.integer(request.timeLimit);
  writer.boolean(request.typesOnly);
  encodeFilter(writer, request.filter);
  const selection = writer.open(TAG.sequence);
  for (const attribute of request.attributes) writer.text(attribute);
  writer.close(selection);
  writer.close(mark);
}

function encodeModify(writer: BerWriter, request: ModifyRequest): void {
  const mark = writer.open(OPERATION_TAG.modifyRequest);
  writer.text(request.dn);
  const list = writer.open(TAG.sequence);
  for (const { kind, attribute } of request.changes) {
    const change = writer.open(TAG.sequence);
    writer.enumerated(MODIFY[kind]);
    encodeAttribute(writer, attribute);
    writer.close(change);
  }
  writer.close(list);
  writer.close(mark);
}

function encodeModifyDn(writer: BerWriter, request: ModifyDnRequest): void {
  const mark = writer.open(OPERATION_TAG.modifyDnRequest);
  writer.text(request.dn);
  writer.text(request.newRdn);
  writer.boolean(request.deleteOldRdn);
  if (request.newSuperior !== undefined) writer.text(request.newSuperior, contextTag(0));
  writer.close(mark);
}
