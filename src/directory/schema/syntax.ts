/**
 * RFC 4517 syntaxes: is a value one of them? Structure only. A syntax that isn't listed is known by name, if a schema
 * declares it, and accepts any octets.
 */
import { decodeUtf8 } from './string-preparation.ts';
import { canonicalTime } from './generalized-time.ts';

export interface Syntax {
  readonly oid: string;
  readonly description: string;
  /** `isDn` is handed in since names are understood elsewhere. */
  readonly accepts: (value: Buffer, names: NameCheck) => boolean;
  /** Values must be transferred with `;binary` (RFC 4522). */
  readonly binary?: boolean;
}

export interface NameCheck {
  isDn(text: string): boolean;
}

const PREFIX = '1.3.6.1.4.1.1466.115.121.1.';

export const SYNTAX = {
  attributeTypeDescription: `${PREFIX}3`,
  bitString: `${PREFIX}6`,
  boolean: `${PREFIX}7`,
  certificate: `${PREFIX}8`,
  countryString: `${PREFIX}11`,
  dn: `${PREFIX}12`,
  deliveryMethod: `${PREFIX}14`,
  directoryString: `${PREFIX}15`,
  facsimileTelephoneNumber: `${PREFIX}22`,
  generalizedTime: `${PREFIX}24`,
  ia5String: `${PREFIX}26`,
  integer: `${PREFIX}27`,
  jpeg: `${PREFIX}28`,
  matchingRuleDescription: `${PREFIX}30`,
  matchingRuleUseDescription: `${PREFIX}31`,
  nameAndOptionalUid: `${PREFIX}34`,
  numericString: `${PREFIX}36`,
  objectClassDescription: `${PREFIX}37`,
  oid: `${PREFIX}38`,
  octetString: `${PREFIX}40`,
  postalAddress: `${PREFIX}41`,
  printableString: `${PREFIX}44`,
  telephoneNumber: `${PREFIX}50`,
  ldapSyntaxDescription: `${PREFIX}54`,
  substringAssertion: `${PREFIX}58`,
  uuid: '1.3.6.1.1.16.1',
  csn: '1.3.6.1.4.1.4203.666.11.2.1',
} as const;

const latin = (value: Buffer, pattern: RegExp): boolean =>
  value.length <= 65_536 && pattern.test(value.toString('latin1'));
const PRINTABLE = /^[A-Za-z0-9'()+,\-./:?= ]+$/;
const OID_OR_NAME = /^(?:[A-Za-z][A-Za-z0-9-]*|(?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*))+)$/;

function isAscii(value: Buffer): boolean {
  for (const byte of value) if (byte >= 0x80) return false;
  return true;
}

const text = (value: Buffer): boolean =>
  value.length > 0 && (isAscii(value) || decodeUtf8(value) !== undefined);
const any = (): boolean => true;

/** RFC 4517 §3.3.28: a backslash only as `\24` or `\5C`. */
const postalAddress = (value: Buffer): boolean =>
  text(value) && !/\\(?!24|5[cC])/.test(value.toString('latin1'));

/** Name And Optional UID, RFC 4517 §3.3.21: the DN and, behind `#`, a bit string. */
export function splitOptionalUid(value: string): { dn: string; uid: string } {
  const match = /^(.*)(#'[01]*'B)$/su.exec(value);
  return match === null ? { dn: value, uid: '' } : { dn: match[1] ?? '', uid: match[2] ?? '' };
}

function dn(value: Buffer, names: NameCheck): boolean {
  const decoded = decodeUtf8(value);
  return decoded !== undefined && names.isDn(decoded);
}

function row(oid: string, description: string, accepts: Syntax['accepts'], binary?: boolean): Syntax {
  return { oid, description, accepts, ...(binary === true ? { binary } : {}) };
}

/** Every syntax whose values are checked, by OID. */
export const SYNTAXES: ReadonlyMap<string, Syntax> = new Map(
  [
    row(SYNTAX.attributeTypeDescription, 'Attribute Type Description', text),
    row(SYNTAX.bitString, 'Bit String', (v) => latin(v, /^'[01]*'B$/)),
    row(SYNTAX.boolean, 'Boolean', (v) => latin(v, /^(?:TRUE|FALSE)$/)),
    row(SYNTAX.certificate, 'Certificate', (v) => v.length > 1 && v[0] === 0x30, true),
    row(`${PREFIX}9`, 'Certificate List', (v) => v.length > 1 && v[0] === 0x30, true),
    row(`${PREFIX}10`, 'Certificate Pair', (v) => v.length > 1 && v[0] === 0x30, true),
    row(SYNTAX.countryString, 'Country String', (v) => v.length === 2 && latin(v, PRINTABLE)),
    row(SYNTAX.dn, 'DN', dn),
    row(SYNTAX.deliveryMethod, 'Delivery Method', text),
    row(SYNTAX.directoryString, 'Directory String', text),
    row(SYNTAX.facsimileTelephoneNumber, 'Facsimile Telephone Number', (v) =>
      latin(v, /^[A-Za-z0-9'()+,\-./:?= ]+(?:\$[A-Za-z0-9]+)*$/),
    ),
    row(
      SYNTAX.generalizedTime,
      'Generalized Time',
      (v) => v.length <= 64 && canonicalTime(v.toString('latin1')) !== undefined,
    ),
    row(SYNTAX.ia5String, 'IA5 String', isAscii),
    row(SYNTAX.integer, 'INTEGER', (v) => latin(v, /^(?:0|-?[1-9]\d*)$/)),
    row(SYNTAX.jpeg, 'JPEG', any),
    row(SYNTAX.matchingRuleDescription, 'Matching Rule Description', text),
    row(SYNTAX.matchingRuleUseDescription, 'Matching Rule Use Description', text),
    row(SYNTAX.nameAndOptionalUid, 'Name And Optional UID', (v, names) => {
      const decoded = decodeUtf8(v);
      return decoded !== undefined && names.isDn(splitOptionalUid(decoded).dn);
    }),
    row(SYNTAX.numericString, 'Numeric String', (v) => latin(v, /^[0-9 ]+$/)),
    row(SYNTAX.objectClassDescription, 'Object Class Description', text),
    row(SYNTAX.oid, 'OID', (v) => latin(v, OID_OR_NAME)),
    row(SYNTAX.octetString, 'Octet String', any),
    row(SYNTAX.postalAddress, 'Postal Address', postalAddress),
    row(SYNTAX.printableString, 'Printable String', (v) => latin(v, PRINTABLE)),
    row(SYNTAX.telephoneNumber, 'Telephone Number', (v) => latin(v, PRINTABLE)),
    row(SYNTAX.ldapSyntaxDescription, 'LDAP Syntax Description', text),
    row(SYNTAX.substringAssertion, 'Substring Assertion', text),
    row(SYNTAX.uuid, 'UUID', (v) => latin(v, /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i)),
    row(SYNTAX.csn, 'CSN', (v) => latin(v, /^\d{14}\.\d{6}Z#[0-9a-f]{6}#[0-9a-f]{3}#[0-9a-f]{6}$/)),
  ].map((syntax) => [syntax.oid, syntax]),
);

/** A syntax that only a schema knows. */
export function opaqueSyntax(oid: string, description = ''): Syntax {
  return { oid, description, accepts: any };
}
