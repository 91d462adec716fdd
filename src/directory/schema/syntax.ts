/**
 * RFC 4517 syntaxes: is a value one of them? Structure only. A syntax that isn't listed is known by name, if a schema
 * declares it, and accepts any octets.
 */
import { decodeUtf8 } from './string-preparation.ts';
import { isCertificateAssertion } from './certificate-match.ts';
import { canonicalTime } from './generalized-time.ts';
import { parseDescription } from './parse-description.ts';
import type { Description } from './description.ts';

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
  certificateExactAssertion: '1.3.6.1.1.15.1',
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

const DELIVERY = 'any|mhs|physical|telex|teletex|g3fax|g4fax|ia5|videotex|telephone';
const FAX = 'twoDimensional|fineResolution|unlimitedLength|b4Length|a3Width|b4Width|uncompressed';
const PRINTABLE_TEXT = String.raw`[A-Za-z0-9'()+,\-./:?= ]+`;
/** RFC 4517 §3.3.5, §3.3.11, §3.3.27, §3.3.32, §3.3.33, §3.3.34, §3.3.10. */
const FORM = {
  deliveryMethod: new RegExp(`^(?:${DELIVERY})(?: *\\$ *(?:${DELIVERY}))*$`),
  fax: new RegExp(`^${PRINTABLE_TEXT}(?:\\$(?:${FAX}))*$`),
  otherMailbox: new RegExp(`^${PRINTABLE_TEXT}\\$[\\0-\\x7f]*$`),
  teletex: new RegExp(`^${PRINTABLE_TEXT}(?:\\$(?:graphic|control|misc|page|private):[^$]*)*$`),
  telex: new RegExp(`^${PRINTABLE_TEXT}\\$${PRINTABLE_TEXT}\\$${PRINTABLE_TEXT}$`),
  utcTime:
    /^\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:[01]\d|2[0-3])[0-5]\d(?:[0-5]\d)?(?:Z|[+-](?:[01]\d|2[0-3])[0-5]\d)?$/,
  enhancedGuide: /^[^#]+#[^#]+#\s*(?:baseobject|oneLevel|wholeSubtree)$/i,
} as const;

/** A description as RFC 4512 writes it. */
const description =
  (kind: Description['kind']) =>
  (value: Buffer): boolean => {
    const decoded = value.length > 65_536 ? undefined : decodeUtf8(value);
    if (decoded === undefined) return false;
    try {
      return parseDescription(kind, decoded).kind === kind;
    } catch {
      return false;
    }
  };
const ber = (value: Buffer): boolean => value.length > 1 && value[0] === 0x30;

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
    row(SYNTAX.attributeTypeDescription, 'Attribute Type Description', description('attributeType')),
    row(`${PREFIX}4`, 'Audio', any),
    row(`${PREFIX}5`, 'Binary', any),
    row(SYNTAX.bitString, 'Bit String', (v) => latin(v, /^'[01]*'B$/)),
    row(SYNTAX.boolean, 'Boolean', (v) => latin(v, /^(?:TRUE|FALSE)$/)),
    row(SYNTAX.certificate, 'Certificate', ber, true),
    row(`${PREFIX}9`, 'Certificate List', ber, true),
    row(`${PREFIX}10`, 'Certificate Pair', ber, true),
    row(SYNTAX.countryString, 'Country String', (v) => v.length === 2 && latin(v, PRINTABLE)),
    row(SYNTAX.dn, 'DN', dn),
    row(`${PREFIX}13`, 'Data Quality', text),
    row(`${PREFIX}16`, 'DIT Content Rule Description', description('ditContentRule')),
    row(`${PREFIX}17`, 'DIT Structure Rule Description', text),
    row(`${PREFIX}19`, 'DSA Quality', text),
    row(`${PREFIX}21`, 'Enhanced Guide', (v) => text(v) && latin(v, FORM.enhancedGuide)),
    row(`${PREFIX}23`, 'Fax', any),
    row(`${PREFIX}25`, 'Guide', text),
    row(SYNTAX.deliveryMethod, 'Delivery Method', (v) => latin(v, FORM.deliveryMethod)),
    row(SYNTAX.directoryString, 'Directory String', text),
    row(SYNTAX.facsimileTelephoneNumber, 'Facsimile Telephone Number', (v) => latin(v, FORM.fax)),
    row(
      SYNTAX.generalizedTime,
      'Generalized Time',
      (v) => v.length <= 64 && canonicalTime(v.toString('latin1')) !== undefined,
    ),
    row(SYNTAX.ia5String, 'IA5 String', isAscii),
    row(SYNTAX.integer, 'INTEGER', (v) => latin(v, /^(?:0|-?[1-9]\d*)$/)),
    row(SYNTAX.jpeg, 'JPEG', any),
    row(SYNTAX.matchingRuleDescription, 'Matching Rule Description', description('matchingRule')),
    row(SYNTAX.matchingRuleUseDescription, 'Matching Rule Use Description', text),
    row(SYNTAX.nameAndOptionalUid, 'Name And Optional UID', (v, names) => {
      const decoded = decodeUtf8(v);
      return decoded !== undefined && names.isDn(splitOptionalUid(decoded).dn);
    }),
    row(SYNTAX.numericString, 'Numeric String', (v) => latin(v, /^[0-9 ]+$/)),
    row(SYNTAX.objectClassDescription, 'Object Class Description', description('objectClass')),
    row(SYNTAX.oid, 'OID', (v) => latin(v, OID_OR_NAME)),
    row(SYNTAX.octetString, 'Octet String', any),
    row(`${PREFIX}35`, 'Name Form Description', text),
    row(`${PREFIX}39`, 'Other Mailbox', (v) => latin(v, FORM.otherMailbox)),
    row(`${PREFIX}42`, 'Protocol Information', text),
    row(`${PREFIX}43`, 'Presentation Address', text),
    row(`${PREFIX}49`, 'Supported Algorithm', ber, true),
    row(`${PREFIX}51`, 'Teletex Terminal Identifier', (v) => latin(v, FORM.teletex)),
    row(`${PREFIX}52`, 'Telex Number', (v) => latin(v, FORM.telex)),
    row(`${PREFIX}53`, 'UTC Time', (v) => latin(v, FORM.utcTime)),
    row('1.3.6.1.1.1.0.0', 'RFC2307 NIS Netgroup Triple', (v) => latin(v, /^\([^(),]*,[^(),]*,[^(),]*\)$/)),
    row('1.3.6.1.1.1.0.1', 'RFC2307 Boot Parameter', isAscii),
    row(SYNTAX.postalAddress, 'Postal Address', postalAddress),
    row(SYNTAX.printableString, 'Printable String', (v) => latin(v, PRINTABLE)),
    row(SYNTAX.telephoneNumber, 'Telephone Number', (v) => latin(v, PRINTABLE)),
    row(SYNTAX.ldapSyntaxDescription, 'LDAP Syntax Description', description('ldapSyntax')),
    row(SYNTAX.substringAssertion, 'Substring Assertion', text),
    row(SYNTAX.certificateExactAssertion, 'X.509 Certificate Exact Assertion', isCertificateAssertion),
    row(SYNTAX.uuid, 'UUID', (v) => latin(v, /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i)),
    row(SYNTAX.csn, 'CSN', (v) => latin(v, /^\d{14}\.\d{6}Z#[0-9a-f]{6}#[0-9a-f]{3}#[0-9a-f]{6}$/)),
  ].map((syntax) => [syntax.oid, syntax]),
);

/** A syntax that only a schema knows. */
export function opaqueSyntax(oid: string, description = ''): Syntax {
  return { oid, description, accepts: any };
}
