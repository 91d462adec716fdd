/**
 * RFC 4517 §4.2 matching rules. A rule is a normaliser: two values match when their normal forms are equal octet for
 * octet, are ordered as the octets are, and a substring is looked for in the form that `spaced` gives. A value that a rule
 * can't normalise makes the comparison Undefined.
 */
import {
  prepare,
  prepareSubstring,
  prepareWithout,
  spaced,
  decodeUtf8,
  isPrepared,
} from './string-preparation.ts';
import { normalCertificate } from './certificate-match.ts';
import { canonicalTime } from './generalized-time.ts';
import { SYNTAX, splitOptionalUid } from './syntax.ts';

/** What a normaliser may ask of the schema it belongs to. */
export interface RuleContext {
  /** Normal form of a DN (RFC 4517 §4.2.15); undefined when it isn't one. */
  normalDn(value: Buffer): Buffer | undefined;
  /** The numeric OID that a name stands for; undefined when unknown. */
  oidOf(name: string): string | undefined;
}

export type RuleKind = 'equality' | 'ordering' | 'substrings';
export type SubstringPlace = 'initial' | 'any' | 'final';

export interface MatchingRule {
  readonly oid: string;
  readonly name: string;
  readonly kind: RuleKind;
  /** Syntax of assertion values. */
  readonly syntax: string;
  /** Normal form of a stored or asserted value. */
  normalise(value: Buffer, context: RuleContext): Buffer | undefined;
  /** A quick look that may say: this value is its own normal form. */
  readonly isNormal?: (bytes: Uint8Array, start: number, end: number) => boolean;
  /** For substrings rules: the form of a normalised value in which parts are looked for, and that of a part. */
  readonly searchable?: (normal: Buffer) => Buffer;
  readonly part?: (value: Buffer, place: SubstringPlace) => Buffer | undefined;
  /** Set for rules that are no comparison of normal forms: the value against the assertion. */
  readonly test?: (value: Buffer, assertion: Buffer) => boolean | undefined;
}

type Normaliser = MatchingRule['normalise'];
const same = (value: Buffer): Buffer => value;
const caseIgnore: Normaliser = (value) => prepare(value, true);
const caseExact: Normaliser = (value) => prepare(value, false);
const numeric: Normaliser = (value) => prepareWithout(value, false, / /g);
// RFC 4518 §2.6.3: hyphens of several kinds and spaces.
const TELEPHONE = /[ \-\u058a\u2010\u2011\u2212\ufe63\uff0d]/g;
const telephone: Normaliser = (value) => prepareWithout(value, true, TELEPHONE);

/** RFC 4517 §4.2.19 and §4.2.20. Order-preserving: sign and number of digits first; digits of a negative one complemented. */
const integer: Normaliser = (value) => {
  if (value.length === 0 || value.length > 4096) return undefined;
  const match = /^(-?)0*(\d+)$/.exec(value.toString('latin1'));
  if (match === null) return undefined;
  const digits = match[2] ?? '';
  const negative = match[1] === '-' && digits !== '0';
  const out = Buffer.alloc(3 + digits.length);
  out[0] = negative ? 0 : 1;
  out.writeUInt16BE(negative ? 0xffff - digits.length : digits.length, 1);
  for (let i = 0; i < digits.length; i++)
    out[3 + i] = negative ? 0x69 - digits.charCodeAt(i) : digits.charCodeAt(i);
  return out;
};

const boolean: Normaliser = (value) => {
  const text = value.length <= 5 ? value.toString('latin1').toUpperCase() : '';
  return text === 'TRUE' || text === 'FALSE' ? Buffer.from(text) : undefined;
};

/** The `Z` is left out, so that a fraction comes after the whole second. */
const time: Normaliser = (value) => {
  const text = value.length > 64 ? undefined : canonicalTime(value.toString('latin1'));
  return text === undefined ? undefined : Buffer.from(text.slice(0, -1));
};

/** RFC 4530 §2.2: text in, 16 octets out. */
const uuid: Normaliser = (value) => {
  const text = value.length === 36 ? value.toString('latin1') : '';
  return /^[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$/.test(text)
    ? Buffer.from(text.replaceAll('-', ''), 'hex')
    : undefined;
};

const oid: Normaliser = (value, context) => {
  if (value.length === 0 || value.length > 512) return undefined;
  const text = value.toString('latin1').trim();
  const known = /^\d/.test(text) ? text : context.oidOf(text);
  return known === undefined ? undefined : Buffer.from(known);
};

const distinguishedName: Normaliser = (value, context) => context.normalDn(value);

const nameAndUid: Normaliser = (value, context) => {
  const text = decodeUtf8(value);
  if (text === undefined) return undefined;
  const { dn, uid } = splitOptionalUid(text);
  const normal = context.normalDn(Buffer.from(dn));
  return normal === undefined ? undefined : Buffer.concat([normal, Buffer.from(uid)]);
};

/** RFC 4517 §4.2.9: lines are compared one by one. */
const caseIgnoreList: Normaliser = (value) => {
  const lines: Buffer[] = [];
  for (let at = 0; at <= value.length; ) {
    const dollar = value.indexOf(0x24, at);
    const end = dollar === -1 ? value.length : dollar;
    const line = prepare(value.subarray(at, end), true);
    if (line === undefined) return undefined;
    if (lines.length > 0) lines.push(Buffer.from('$'));
    lines.push(line);
    at = end + 1;
  }
  return Buffer.concat(lines);
};

/** RFC 4517 §4.2.18 and §4.2.25: a description's leading component, or the assertion, which is one alone. */
const firstComponent =
  (inner: Normaliser): Normaliser =>
  (value, context) => {
    const text = value.subarray(0, 1024).toString('latin1');
    const match = /^\(\s*([^\s)]+)/.exec(text);
    return inner(match === null ? value : Buffer.from(match[1] ?? '', 'latin1'), context);
  };

/** §4.2.14: the same for quoted first components. */
const firstString: Normaliser = (value, context) => {
  const match = /^\(\s*'([^']*)'/.exec(value.subarray(0, 4096).toString('latin1'));
  return caseIgnore(match === null ? value : Buffer.from(match[1] ?? '', 'latin1'), context);
};

/** RFC 4517 §4.2.21 and §4.2.32 leave open what a word is: here, what stands between anything but letters, digits and marks. */
const hasWord = (value: Buffer, assertion: Buffer): boolean | undefined => {
  const [text, word] = [prepare(value, true)?.toString(), prepare(assertion, true)?.toString()];
  if (text === undefined || word === undefined) return undefined;
  return text.split(/[^\p{L}\p{N}\p{M}]+/u).includes(word) && word !== '';
};

function bits(value: Buffer): bigint | undefined {
  const text = value.length <= 32 ? value.toString('latin1') : '';
  return /^-?\d+$/.test(text) ? BigInt.asUintN(64, BigInt(text)) : undefined;
}

const bitAnd = (value: Buffer, mask: Buffer): boolean | undefined => {
  const [a, b] = [bits(value), bits(mask)];
  return a === undefined || b === undefined ? undefined : (a & b) === b;
};
const bitOr = (value: Buffer, mask: Buffer): boolean | undefined => {
  const [a, b] = [bits(value), bits(mask)];
  return a === undefined || b === undefined ? undefined : (a & b) !== 0n;
};

function substringsOf(
  name: string,
  ruleOid: string,
  normalise: Normaliser,
  part: NonNullable<MatchingRule['part']>,
  searchable?: (normal: Buffer) => Buffer,
): MatchingRule {
  return {
    oid: ruleOid,
    name,
    kind: 'substrings',
    syntax: SYNTAX.substringAssertion,
    normalise,
    part,
    searchable: searchable ?? same,
  };
}

const without =
  (fold: boolean, characters: RegExp): NonNullable<MatchingRule['part']> =>
  (value) =>
    prepareWithout(value, fold, characters);
const spacedPart =
  (fold: boolean): NonNullable<MatchingRule['part']> =>
  (value, place) =>
    prepareSubstring(value, fold, place);

/** The name that the owner's address normaliser goes by; see `Schema.addressRule`. */
export const ADDRESS_RULE = 'posternAddressMatch';

/** Every rule of the server but `posternAddressMatch`, whose OID and normaliser come from elsewhere. */
export const MATCHING_RULES: readonly MatchingRule[] = [
  ...(
    [
      ['objectIdentifierMatch', '2.5.13.0', SYNTAX.oid, oid],
      ['distinguishedNameMatch', '2.5.13.1', SYNTAX.dn, distinguishedName],
      ['caseIgnoreMatch', '2.5.13.2', SYNTAX.directoryString, caseIgnore],
      ['caseExactMatch', '2.5.13.5', SYNTAX.directoryString, caseExact],
      ['numericStringMatch', '2.5.13.8', SYNTAX.numericString, numeric],
      ['caseIgnoreListMatch', '2.5.13.11', SYNTAX.postalAddress, caseIgnoreList],
      ['booleanMatch', '2.5.13.13', SYNTAX.boolean, boolean],
      ['integerMatch', '2.5.13.14', SYNTAX.integer, integer],
      ['bitStringMatch', '2.5.13.16', SYNTAX.bitString, same],
      ['octetStringMatch', '2.5.13.17', SYNTAX.octetString, same],
      ['telephoneNumberMatch', '2.5.13.20', SYNTAX.telephoneNumber, telephone],
      ['uniqueMemberMatch', '2.5.13.23', SYNTAX.nameAndOptionalUid, nameAndUid],
      ['generalizedTimeMatch', '2.5.13.27', SYNTAX.generalizedTime, time],
      ['directoryStringFirstComponentMatch', '2.5.13.31', SYNTAX.directoryString, firstString],
      ['integerFirstComponentMatch', '2.5.13.29', SYNTAX.integer, firstComponent(integer)],
      ['objectIdentifierFirstComponentMatch', '2.5.13.30', SYNTAX.oid, firstComponent(oid)],
      ['certificateExactMatch', '2.5.13.34', SYNTAX.certificateExactAssertion, normalCertificate],
      ['caseExactIA5Match', '1.3.6.1.4.1.1466.109.114.1', SYNTAX.ia5String, caseExact],
      ['caseIgnoreIA5Match', '1.3.6.1.4.1.1466.109.114.2', SYNTAX.ia5String, caseIgnore],
      ['UUIDMatch', '1.3.6.1.1.16.2', SYNTAX.uuid, uuid],
      ['CSNMatch', '1.3.6.1.4.1.4203.666.11.2.2', SYNTAX.csn, same],
    ] as const
  ).map(
    ([name, ruleOid, syntax, normalise]): MatchingRule => ({
      oid: ruleOid,
      name,
      kind: 'equality',
      syntax,
      normalise,
      ...(normalise === caseIgnore || normalise === caseExact
        ? { isNormal: (bytes, start, end) => isPrepared(bytes, start, end, normalise === caseIgnore) }
        : {}),
    }),
  ),
  ...(
    [
      ['caseIgnoreOrderingMatch', '2.5.13.3', SYNTAX.directoryString, caseIgnore],
      ['caseExactOrderingMatch', '2.5.13.6', SYNTAX.directoryString, caseExact],
      ['numericStringOrderingMatch', '2.5.13.9', SYNTAX.numericString, numeric],
      ['integerOrderingMatch', '2.5.13.15', SYNTAX.integer, integer],
      ['octetStringOrderingMatch', '2.5.13.18', SYNTAX.octetString, same],
      ['generalizedTimeOrderingMatch', '2.5.13.28', SYNTAX.generalizedTime, time],
      ['UUIDOrderingMatch', '1.3.6.1.1.16.3', SYNTAX.uuid, uuid],
      ['CSNOrderingMatch', '1.3.6.1.4.1.4203.666.11.2.3', SYNTAX.csn, same],
    ] as const
  ).map(
    ([name, ruleOid, syntax, normalise]): MatchingRule => ({
      oid: ruleOid,
      name,
      kind: 'ordering',
      syntax,
      normalise,
    }),
  ),
  substringsOf('caseIgnoreSubstringsMatch', '2.5.13.4', caseIgnore, spacedPart(true), spaced),
  substringsOf('caseExactSubstringsMatch', '2.5.13.7', caseExact, spacedPart(false), spaced),
  substringsOf(
    'caseIgnoreIA5SubstringsMatch',
    '1.3.6.1.4.1.1466.109.114.3',
    caseIgnore,
    spacedPart(true),
    spaced,
  ),
  substringsOf('caseExactIA5SubstringsMatch', '1.3.6.1.4.1.4203.1.2.1', caseExact, spacedPart(false), spaced),
  substringsOf('caseIgnoreListSubstringsMatch', '2.5.13.12', caseIgnoreList, spacedPart(true), spaced),
  substringsOf('numericStringSubstringsMatch', '2.5.13.10', numeric, without(false, / /g)),
  substringsOf('telephoneNumberSubstringsMatch', '2.5.13.21', telephone, without(true, TELEPHONE)),
  substringsOf('octetStringSubstringsMatch', '2.5.13.19', same, same),
  {
    oid: '2.5.13.32',
    name: 'wordMatch',
    kind: 'equality',
    syntax: SYNTAX.directoryString,
    normalise: caseIgnore,
    test: hasWord,
  },
  {
    oid: '2.5.13.33',
    name: 'keywordMatch',
    kind: 'equality',
    syntax: SYNTAX.directoryString,
    normalise: caseIgnore,
    test: hasWord,
  },
  // Active Directory's bit rules, which OpenLDAP knows too.
  {
    oid: '1.2.840.113556.1.4.803',
    name: 'integerBitAndMatch',
    kind: 'equality',
    syntax: SYNTAX.integer,
    normalise: integer,
    test: bitAnd,
  },
  {
    oid: '1.2.840.113556.1.4.804',
    name: 'integerBitOrMatch',
    kind: 'equality',
    syntax: SYNTAX.integer,
    normalise: integer,
    test: bitOr,
  },
];
