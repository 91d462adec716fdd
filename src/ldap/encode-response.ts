/** Responses of RFC 4511 §4.2.2 to §4.13 to the wire; entries are in `encode-entry.ts`. */
import { contextConstructed, contextTag } from '../asn1/tag.ts';
import type { BerWriter } from '../asn1/writer.ts';
import type { LdapResult, Response, SearchResultEntry } from './message.ts';
import { OPERATION_TAG } from './operation-tag.ts';

export function encodeResponse(writer: BerWriter, operation: Exclude<Response, SearchResultEntry>): void {
  const mark = writer.open(OPERATION_TAG[operation.op]);
  switch (operation.op) {
    case 'searchResultReference':
      for (const url of operation.urls) writer.text(url);
      break;
    case 'bindResponse':
      encodeResult(writer, operation.result);
      if (operation.serverSaslCredentials !== undefined)
        writer.octets(operation.serverSaslCredentials, contextTag(7));
      break;
    case 'extendedResponse':
      encodeResult(writer, operation.result);
      if (operation.oid !== undefined) writer.text(operation.oid, contextTag(10));
      if (operation.value !== undefined) writer.octets(operation.value, contextTag(11));
      break;
    case 'intermediateResponse':
      if (operation.oid !== undefined) writer.text(operation.oid, contextTag(0));
      if (operation.value !== undefined) writer.octets(operation.value, contextTag(1));
      break;
    default:
      encodeResult(writer, operation.result);
  }
  writer.close(mark);
}

/** COMPONENTS OF LDAPResult (RFC 4511 §4.1.9). */
function encodeResult(writer: BerWriter, result: LdapResult): void {
  writer.enumerated(result.code);
  writer.text(result.matchedDn);
  writer.text(result.diagnostic);
  if (result.referrals === undefined || result.referrals.length === 0) return;
  const list = writer.open(contextConstructed(3));
  for (const url of result.referrals) writer.text(url);
  writer.close(list);
}
