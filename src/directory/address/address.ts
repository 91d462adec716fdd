/**
 * Mail addresses: bytes or text in, one canonical spelling out (RFC 5321 §4.1.2, RFC 6531 §3.3). Owns the grammar and what
 * counts as the same address; knows nothing of keys, recipients, or which domains are ours.
 *
 * The hub hashes what this file makes of a source value, the edge what it makes of a question: a change here that gives any
 * address another canonical form makes recipients unknown. Then ADDRESS_NORMALISER_VERSION goes up, and edges load again.
 */
import { PosternError } from '../../base/error.ts';
import { isCanonicalName, LONGEST_DOMAIN, normaliseDomain } from './domain.ts';
import { foldCase } from './fold.ts';

export const ADDRESS_NORMALISER_VERSION = 1;

/**
 * Longest local part, octets. RFC 5321 §4.5.3.1 asks receivers for at least 64 and, where they can, for no limit: tagged
 * addresses (user+tag) and encapsulated ones are longer in practice. Paths end at 256 octets (§4.5.3.1.3).
 */
export const LONGEST_LOCAL_PART = 256;
/** Octets; a quoted local part may have a backslash before each character. */
const LONGEST_INPUT = 2 * LONGEST_LOCAL_PART + 2 + 1 + 4 * LONGEST_DOMAIN;

export interface Address {
  /** The canonical spelling; its UTF-8 octets are what is hashed. */
  readonly canonical: string;
  /** What the local part means: folded, without quotes and backslashes. */
  readonly local: string;
  /** Lower-case A-labels, or an address literal in brackets. */
  readonly domain: string;
}

export type AddressProblem =
  | 'empty'
  | 'too-long'
  | 'not-utf8'
  | 'control-character'
  | 'no-domain'
  | 'source-route'
  | 'bad-local-part'
  | 'bad-domain';

const PROBLEM_TEXT: Readonly<Record<AddressProblem, string>> = {
  empty: 'the address is empty',
  'too-long': 'the address is too long',
  'not-utf8': 'the address is not UTF-8',
  'control-character': 'the address contains a control character',
  'no-domain': 'the address has no domain',
  'source-route': 'the address is a source route',
  'bad-local-part': 'the part before the @ is not a local part',
  'bad-domain': 'the part after the @ is not a domain',
};

/** Character classes of the fast path. */
const ATOM = 1;
const UPPER = 2;
const LABEL = 4;
const CLASS = new Uint8Array(128);
for (const c of "abcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-/=?^_`{|}~") CLASS[c.charCodeAt(0)] = ATOM;
for (const c of 'abcdefghijklmnopqrstuvwxyz0123456789_-') CLASS[c.charCodeAt(0)]! |= LABEL;
for (const c of 'ABCDEFGHIJKLMNOPQRSTUVWXYZ') CLASS[c.charCodeAt(0)] = ATOM | UPPER | LABEL;

const AT = 0x40;
const DOT = 0x2e;
const HYPHEN = 0x2d;
const CONTROL = /\p{Cc}/u;
/** RFC 5321 §4.1.2 atext with RFC 6531 §3.3; dots anywhere: "a..b@x" is met in practice and can only mean "a..b". */
const UNQUOTED = /^[\w!#$%&'*+\-/=?^`{|}~.\u{a0}-\u{10ffff}]+$/u;
const DOT_STRING =
  /^[\w!#$%&'*+\-/=?^`{|}~\u{a0}-\u{10ffff}]+(?:\.[\w!#$%&'*+\-/=?^`{|}~\u{a0}-\u{10ffff}]+)*$/u;
const QUOTED = /^"((?:[^"\\]|\\.)*)"@/su;

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Parses and normalises; a problem's name for anything that is no address. Never throws. */
export function parseAddress(input: string | Uint8Array): Address | AddressProblem {
  if (typeof input !== 'string') {
    if (input.length > LONGEST_INPUT) return 'too-long';
    const bytes = Buffer.isBuffer(input) ? input : Buffer.from(input.buffer, input.byteOffset, input.length);
    const fast = parsePlain(bytes.toString('latin1'));
    if (fast !== undefined) return fast;
    try {
      return parseAny(utf8.decode(bytes));
    } catch {
      return 'not-utf8';
    }
  }
  return parsePlain(input) ?? parseAny(input);
}

/** The canonical spelling, or `undefined`. */
export function normaliseAddress(input: string | Uint8Array): string | undefined {
  const address = parseAddress(input);
  return typeof address === 'string' ? undefined : address.canonical;
}

/** For input typed by a person. Throws `usage`. */
export function requireAddress(input: string): Address {
  const address = parseAddress(input);
  if (typeof address !== 'string') return address;
  throw new PosternError('usage', describeAddressProblem(address), {
    hint: 'write an address as it stands in an envelope, for example anna@example.org or "anna b"@example.org',
    fields: { problem: address },
  });
}

export function describeAddressProblem(problem: AddressProblem): string {
  return PROBLEM_TEXT[problem];
}

/** An address from its meaning: `local` as in `Address.local`, `domain` canonical. */
export function composeAddress(local: string, domain: string): Address {
  const spelled = DOT_STRING.test(local) ? local : `"${local.replace(/["\\]/g, '\\$&')}"`;
  return { canonical: `${spelled}@${domain}`, local, domain };
}

/** The common case in one pass: ASCII, dot-string local part, plain domain name. `undefined` when it needs a closer look. */
function parsePlain(text: string): Address | undefined {
  const length = text.length;
  let upper = 0;
  let at = 0;
  let previous = DOT;
  for (; at < length; at++) {
    const c = text.charCodeAt(at);
    if (c === AT) break;
    if (c === DOT) {
      if (previous === DOT) return undefined;
    } else {
      if (c > 127) return undefined;
      const kind = CLASS[c]!;
      if ((kind & ATOM) === 0) return undefined;
      upper |= kind;
    }
    previous = c;
  }
  if (
    at === 0 ||
    at === length ||
    previous === DOT ||
    at > LONGEST_LOCAL_PART ||
    length - at - 1 > LONGEST_DOMAIN
  )
    return undefined;
  let labelStart = at + 1;
  let digits = true;
  previous = DOT;
  for (let i = labelStart; i < length; i++) {
    const c = text.charCodeAt(i);
    if (c === DOT) {
      if (previous === DOT || previous === HYPHEN || i - labelStart > 63) return undefined;
      labelStart = i + 1;
      digits = true;
    } else {
      if (c > 127) return undefined;
      const kind = CLASS[c]!;
      if ((kind & LABEL) === 0 || (c === HYPHEN && previous === DOT)) return undefined;
      if (c > 0x39 || c < 0x30) digits = false;
      upper |= kind;
    }
    previous = c;
  }
  if (previous === DOT || previous === HYPHEN || digits || length - labelStart > 63) return undefined;
  const canonical = (upper & UPPER) === 0 ? text : text.toLowerCase();
  return { canonical, local: canonical.slice(0, at), domain: canonical.slice(at + 1) };
}

function parseAny(text: string): Address | AddressProblem {
  if (text.length === 0) return 'empty';
  if (text.length > LONGEST_INPUT) return 'too-long';
  if (!text.isWellFormed()) return 'not-utf8';
  if (CONTROL.test(text)) return 'control-character';
  if (text.startsWith('@')) return text.includes(':') ? 'source-route' : 'bad-local-part';
  let content: string;
  let rest: string;
  if (text.startsWith('"')) {
    const quoted = QUOTED.exec(text);
    if (quoted === null) return text.includes('@') ? 'bad-local-part' : 'no-domain';
    content = quoted[1]!.replace(/\\(.)/gsu, '$1');
    rest = text.slice(quoted[0].length);
  } else {
    const at = text.lastIndexOf('@');
    if (at < 0) return 'no-domain';
    content = text.slice(0, at);
    rest = text.slice(at + 1);
    if (!UNQUOTED.test(content)) return 'bad-local-part';
  }
  // An empty quoted local part is within the grammar, but it is what a mail server makes of "@domain": nobody's address.
  if (content.length === 0) return 'bad-local-part';
  const local = foldCase(content);
  if (Buffer.byteLength(local) > LONGEST_LOCAL_PART) return 'too-long';
  const domain = normaliseDomain(rest);
  return domain === undefined ? 'bad-domain' : composeAddress(local, domain);
}

/** True when `domain` is already in the form `Address.domain` has. */
export function isCanonicalDomain(domain: string): boolean {
  return isCanonicalName(domain) || (domain.startsWith('[') && normaliseDomain(domain) === domain);
}
