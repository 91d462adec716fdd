/**
 * Domains of mail addresses: one canonical spelling (lower-case A-labels, RFC 5890 §2.3.2.1). Owns what is accepted as a
 * domain or an address literal; knows nothing of local parts, nor of which domains are ours.
 */
import { isIPv4, isIPv6 } from 'node:net';
import { domainToASCII } from 'node:url';
import { isAscii } from './fold.ts';

/** RFC 1035 §2.3.4 less the root label: the longest name in presentation form, octets. */
export const LONGEST_DOMAIN = 253;
const LONGEST_LABEL = 63;

/** Letters, digits and hyphen, plus the underscore that real organisations have in domain names. */
const NAME = /^[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*$/;
/** What may stand in a domain before it is mapped: no ASCII but the above, no controls, nothing a URL parser would act on. */
const MAPPABLE = /^[A-Za-z0-9_.\-\u{a0}-\u{10ffff}]+$/u;
const NUMERIC_END = /(?:^|\.)[0-9]+$/;

/**
 * The canonical spelling of a domain name (U-labels and A-labels in any case, one trailing dot allowed) or of an address
 * literal in brackets; `undefined` for anything else. Pure; the work is bounded by the length check.
 */
export function normaliseDomain(domain: string): string | undefined {
  if (domain.length === 0 || domain.length > LONGEST_DOMAIN + 1) return undefined;
  if (domain.startsWith('[')) return normaliseLiteral(domain);
  let name: string;
  if (isAscii(domain)) {
    name = domain.toLowerCase();
  } else {
    // domainToASCII parses a URL's host: it would cut "a.example/b" at the slash. So only harmless characters reach it, and
    // what comes back is checked as if it had come from outside (UTS 46 maps some symbols to ASCII punctuation).
    if (!MAPPABLE.test(domain) || !domain.isWellFormed()) return undefined;
    name = domainToASCII(domain);
  }
  if (name.endsWith('.')) name = name.slice(0, -1);
  return isCanonicalName(name) ? name : undefined;
}

/** True for a lower-case ASCII domain name within its limits. A name that ends in a number is an unbracketed address. */
export function isCanonicalName(name: string): boolean {
  if (name.length === 0 || name.length > LONGEST_DOMAIN || !NAME.test(name) || NUMERIC_END.test(name))
    return false;
  for (let start = 0; start <= name.length; ) {
    const dot = name.indexOf('.', start);
    const end = dot < 0 ? name.length : dot;
    if (end - start > LONGEST_LABEL) return false;
    start = end + 1;
  }
  return true;
}

/** RFC 5321 §4.1.3: IPv4 and IPv6 literals; no other tag is registered. */
function normaliseLiteral(literal: string): string | undefined {
  if (!literal.endsWith(']')) return undefined;
  const inner = literal.slice(1, -1);
  if (isIPv4(inner)) return literal;
  if (!/^ipv6:[0-9a-f:.]+$/i.test(inner)) return undefined;
  const address = inner.slice(5);
  if (!isIPv6(address)) return undefined;
  return `[ipv6:${new URL(`http://[${address}]/`).hostname.slice(1, -1)}]`;
}
