/** Identifier octets of the protocol operations (RFC 4511 §4.2 to §4.14), and which operations are requests. */
import type { Operation, Request } from './message.ts';

export const OPERATION_TAG = {
  bindRequest: 0x60,
  bindResponse: 0x61,
  unbindRequest: 0x42,
  searchRequest: 0x63,
  searchResultEntry: 0x64,
  searchResultDone: 0x65,
  modifyRequest: 0x66,
  modifyResponse: 0x67,
  addRequest: 0x68,
  addResponse: 0x69,
  deleteRequest: 0x4a,
  deleteResponse: 0x6b,
  modifyDnRequest: 0x6c,
  modifyDnResponse: 0x6d,
  compareRequest: 0x6e,
  compareResponse: 0x6f,
  abandonRequest: 0x50,
  searchResultReference: 0x73,
  extendedRequest: 0x77,
  extendedResponse: 0x78,
  intermediateResponse: 0x79,
} as const satisfies Readonly<Record<Operation['op'], number>>;

const BY_TAG: readonly (Operation['op'] | undefined)[] = (() => {
  const names: (Operation['op'] | undefined)[] = new Array<undefined>(256).fill(undefined);
  for (const [name, tag] of Object.entries(OPERATION_TAG)) names[tag] = name as Operation['op'];
  return names;
})();

/** The operation of an identifier octet; undefined when RFC 4511 has none. */
export function operationOfTag(tag: number): Operation['op'] | undefined {
  return BY_TAG[tag];
}

export function isRequest(operation: Operation): operation is Request {
  return operation.op.endsWith('Request');
}
