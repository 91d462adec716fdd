/**
 * RFC 4511 messages as plain data, shared by client and server. Structure only: what a DN, a filter or a control value
 * means is decided elsewhere. Octet strings that LDAP defines as UTF-8 text (DNs, attribute descriptions, diagnostic
 * messages) are strings; attribute values, assertion values and control values are Buffers.
 */

/** RFC 4511 §4.1.11 */
export interface Control {
  readonly oid: string;
  readonly critical: boolean;
  readonly value?: Buffer;
}

/** RFC 4511 §4.1.7; an attribute description with its values (a set: order carries no meaning). */
export interface Attribute {
  readonly type: string;
  readonly values: readonly Buffer[];
}

/** RFC 4511 §4.5.1.7 */
export type Filter =
  | { readonly kind: 'and' | 'or'; readonly filters: readonly Filter[] }
  | { readonly kind: 'not'; readonly filter: Filter }
  | {
      readonly kind: 'equality' | 'greaterOrEqual' | 'lessOrEqual' | 'approx';
      readonly attribute: string;
      readonly value: Buffer;
    }
  | { readonly kind: 'present'; readonly attribute: string }
  | {
      readonly kind: 'substrings';
      readonly attribute: string;
      readonly initial?: Buffer;
      readonly any: readonly Buffer[];
      readonly final?: Buffer;
    }
  | {
      readonly kind: 'extensible';
      readonly matchingRule?: string;
      readonly attribute?: string;
      readonly value: Buffer;
      readonly dnAttributes: boolean;
    };

export type Authentication =
  | { readonly kind: 'simple'; readonly password: Buffer }
  | { readonly kind: 'sasl'; readonly mechanism: string; readonly credentials?: Buffer };

export type Scope = 'base' | 'one' | 'subtree';
export type DerefAliases = 'never' | 'searching' | 'findingBase' | 'always';
/** `increment` is RFC 4525. */
export type ModifyKind = 'add' | 'delete' | 'replace' | 'increment';

export interface Modification {
  readonly kind: ModifyKind;
  readonly attribute: Attribute;
}

export interface BindRequest {
  readonly op: 'bindRequest';
  readonly version: number;
  readonly name: string;
  readonly authentication: Authentication;
}
export interface UnbindRequest {
  readonly op: 'unbindRequest';
}
export interface SearchRequest {
  readonly op: 'searchRequest';
  readonly base: string;
  readonly scope: Scope;
  readonly derefAliases: DerefAliases;
  /** 0 = no limit asked. */
  readonly sizeLimit: number;
  /** Seconds; 0 = no limit asked. */
  readonly timeLimit: number;
  readonly typesOnly: boolean;
  readonly filter: Filter;
  readonly attributes: readonly string[];
}
export interface ModifyRequest {
  readonly op: 'modifyRequest';
  readonly dn: string;
  readonly changes: readonly Modification[];
}
export interface AddRequest {
  readonly op: 'addRequest';
  readonly dn: string;
  readonly attributes: readonly Attribute[];
}
export interface DeleteRequest {
  readonly op: 'deleteRequest';
  readonly dn: string;
}
export interface ModifyDnRequest {
  readonly op: 'modifyDnRequest';
  readonly dn: string;
  readonly newRdn: string;
  readonly deleteOldRdn: boolean;
  readonly newSuperior?: string;
}
export interface CompareRequest {
  readonly op: 'compareRequest';
  readonly dn: string;
  readonly attribute: string;
  readonly value: Buffer;
}
export interface AbandonRequest {
  readonly op: 'abandonRequest';
  readonly messageId: number;
}
export interface ExtendedRequest {
  readonly op: 'extendedRequest';
  readonly oid: string;
  readonly value?: Buffer;
}

/** RFC 4511 §4.1.9; `code` is the number, named in `result-code.ts`. */
export interface LdapResult {
  readonly code: number;
  readonly matchedDn: string;
  readonly diagnostic: string;
  readonly referrals?: readonly string[];
}

export interface BindResponse {
  readonly op: 'bindResponse';
  readonly result: LdapResult;
  readonly serverSaslCredentials?: Buffer;
}
export interface SearchResultEntry {
  readonly op: 'searchResultEntry';
  readonly dn: string;
  readonly attributes: readonly Attribute[];
}
export interface SearchResultReference {
  readonly op: 'searchResultReference';
  readonly urls: readonly string[];
}
export interface PlainResponse {
  readonly op:
    | 'searchResultDone'
    | 'modifyResponse'
    | 'addResponse'
    | 'deleteResponse'
    | 'modifyDnResponse'
    | 'compareResponse';
  readonly result: LdapResult;
}
export interface ExtendedResponse {
  readonly op: 'extendedResponse';
  readonly result: LdapResult;
  readonly oid?: string;
  readonly value?: Buffer;
}
/** RFC 4511 §4.13 */
export interface IntermediateResponse {
  readonly op: 'intermediateResponse';
  readonly oid?: string;
  readonly value?: Buffer;
}

export type Request =
  | BindRequest
  | UnbindRequest
  | SearchRequest
  | ModifyRequest
  | AddRequest
  | DeleteRequest
  | ModifyDnRequest
  | CompareRequest
  | AbandonRequest
  | ExtendedRequest;
export type Response =
  | BindResponse
  | SearchResultEntry
  | SearchResultReference
  | PlainResponse
  | ExtendedResponse
  | IntermediateResponse;
export type Operation = Request | Response;

export interface Message {
  /** 0 is only for unsolicited notifications (RFC 4511 §4.4). */
  readonly messageId: number;
  readonly operation: Operation;
  readonly controls: readonly Control[];
}
