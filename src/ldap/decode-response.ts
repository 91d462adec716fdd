/** Responses of RFC 4511 §4.2.2 to §4.13, from the operation's identifier octet on. */
import type { BerReader } from '../asn1/reader.ts';
import { contextConstructed, contextTag } from '../asn1/tag.ts';
import { decodeAttributes, decodeTexts } from './decode-attribute.ts';
import type { DecodeLimits } from './limits.ts';
import type {
  BindResponse,
  ExtendedResponse,
  IntermediateResponse,
  LdapResult,
  PlainResponse,
  Response,
  SearchResultReference,
} from './message.ts';
import { MAX_INT } from './max-int.ts';
import { OPERATION_TAG } from './operation-tag.ts';

/** Undefined when `tag` isn't a response's. */
export function decodeResponse(reader: BerReader, tag: number, limits: DecodeLimits): Response | undefined {
  switch (tag) {
    case OPERATION_TAG.searchResultEntry: {
      const outer = reader.enter(tag);
      const dn = reader.text();
      const attributes = decodeAttributes(reader, limits);
      reader.skipRest(outer);
      return { op: 'searchResultEntry', dn, attributes };
    }
    case OPERATION_TAG.searchResultDone:
      return decodePlain(reader, tag, 'searchResultDone', limits);
    case OPERATION_TAG.modifyResponse:
      return decodePlain(reader, tag, 'modifyResponse', limits);
    case OPERATION_TAG.addResponse:
      return decodePlain(reader, tag, 'addResponse', limits);
    case OPERATION_TAG.deleteResponse:
      return decodePlain(reader, tag, 'deleteResponse', limits);
    case OPERATION_TAG.modifyDnResponse:
      return decodePlain(reader, tag, 'modifyDnResponse', limits);
    case OPERATION_TAG.compareResponse:
      return decodePlain(reader, tag, 'compareResponse', limits);
    case OPERATION_TAG.searchResultReference:
      return decodeReference(reader, limits);
    case OPERATION_TAG.bindResponse:
      return decodeBind(reader, limits);
    case OPERATION_TAG.extendedResponse:
      return decodeExtended(reader, limits);
    case OPERATION_TAG.intermediateResponse:
      return decodeIntermediate(reader);
    default:
      return undefined;
  }
}

/** COMPONENTS OF LDAPResult (RFC 4511 §4.1.9); what follows in the SEQUENCE is the caller's. */
function decodeResult(reader: BerReader, limits: DecodeLimits): LdapResult {
  const code = reader.enumerated(MAX_INT);
  const matchedDn = reader.text();
  const diagnostic = reader.text();
  if (reader.peek() !== contextConstructed(3)) return { code, matchedDn, diagnostic };
  const outer = reader.enter(contextConstructed(3));
  const referrals = decodeTexts(reader, limits.referrals);
  reader.leave(outer);
  return { code, matchedDn, diagnostic, referrals };
}

function decodePlain(
  reader: BerReader,
  tag: number,
  op: PlainResponse['op'],
  limits: DecodeLimits,
): PlainResponse {
  const outer = reader.enter(tag);
  const result = decodeResult(reader, limits);
  reader.skipRest(outer);
  return { op, result };
}

function decodeReference(reader: BerReader, limits: DecodeLimits): SearchResultReference {
  const outer = reader.enter(OPERATION_TAG.searchResultReference);
  const urls: string[] = decodeTexts(reader, limits.referrals);
  reader.leave(outer);
  return { op: 'searchResultReference', urls };
}

function decodeBind(reader: BerReader, limits: DecodeLimits): BindResponse {
  const outer = reader.enter(OPERATION_TAG.bindResponse);
  const result = decodeResult(reader, limits);
  const credentials = reader.peek() === contextTag(7) ? reader.octets(contextTag(7)) : undefined;
  reader.skipRest(outer);
  return credentials === undefined
    ? { op: 'bindResponse', result }
    : { op: 'bindResponse', result, serverSaslCredentials: credentials };
}

function decodeExtended(reader: BerReader, limits: DecodeLimits): ExtendedResponse {
  const outer = reader.enter(OPERATION_TAG.extendedResponse);
  const result = decodeResult(reader, limits);
  const oid = reader.peek() === contextTag(10) ? reader.text(contextTag(10)) : undefined;
  const value = reader.peek() === contextTag(11) ? reader.octets(contextTag(11)) : undefined;
  reader.skipRest(outer);
  return {
    op: 'extendedResponse',
    result,
    ...(oid !== undefined && { oid }),
    ...(value !== undefined && { value }),
  };
}

function decodeIntermediate(reader: BerReader): IntermediateResponse {
  const outer = reader.enter(OPERATION_TAG.intermediateResponse);
  const oid = reader.peek() === contextTag(0) ? reader.text(contextTag(0)) : undefined;
  const value = reader.peek() === contextTag(1) ? reader.octets(contextTag(1)) : undefined;
  reader.skipRest(outer);
  return {
    op: 'intermediateResponse',
    ...(oid !== undefined && { oid }),
    ...(value !== undefined && { value }),
  };
}
