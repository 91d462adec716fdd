/** Accepted domains: as administrators state them, as the configuration directory keeps them, as edges get them. Pure. */
import { formatDuration, parseDuration } from '../../base/duration.ts';
import { PosternError } from '../../base/error.ts';
import { normaliseDomain } from '../../directory/address/domain.ts';
import type { AddRequest, Attribute } from '../../ldap/message.ts';

export const DOMAIN_KINDS = ['authoritative', 'internalRelay', 'externalRelay'] as const;
export type DomainKind = (typeof DOMAIN_KINDS)[number];

export interface AcceptedDomain {
  /** Canonical: lower case, A-labels. */
  readonly domain: string;
  readonly kind: DomainKind;
  readonly catchAll: boolean;
  /** Characters that start an extension; empty: none. */
  readonly recipientDelimiter: string;
  /** Milliseconds; undefined: the edge's default. */
  readonly maxAgeMs: number | undefined;
}

export interface DomainInput {
  readonly domain: string;
  readonly kind?: string | undefined;
  readonly catchAll?: boolean | undefined;
  readonly recipientDelimiter?: string | undefined;
  readonly maxAge?: string | undefined;
}

/** What is not named stays as it was in `before`. Throws `usage` naming what is wrong. */
export function parseDomainInput(input: DomainInput, before?: AcceptedDomain): AcceptedDomain {
  const kind = DOMAIN_KINDS.find((known) => known === (input.kind ?? before?.kind ?? 'authoritative'));
  if (kind === undefined)
    throw new PosternError('usage', 'no such kind of domain', { hint: `one of ${DOMAIN_KINDS.join(', ')}` });
  const recipientDelimiter = input.recipientDelimiter ?? before?.recipientDelimiter ?? '';
  if (!/^[!#$%&*+/=?^_~.-]{0,4}$/.test(recipientDelimiter)) {
    throw new PosternError(
      'usage',
      'a recipient delimiter is one or a few of the characters + - = _ and the like',
      { hint: 'for example --recipient-delimiter +' },
    );
  }
  return {
    domain: before?.domain ?? newDomainName(input.domain),
    kind,
    catchAll: input.catchAll ?? before?.catchAll ?? false,
    recipientDelimiter,
    maxAgeMs: input.maxAge === undefined ? before?.maxAgeMs : parseDuration(input.maxAge),
  };
}

/** What is added has a name that mail can be sent to (RFC 5321 §4.1.2); what is there already keeps whatever name it has. */
function newDomainName(text: string): string {
  const name = parseDomainName(text);
  if (name.includes('_'))
    throw new PosternError('usage', `"${name}" is no mail domain: there is an underscore in it`, {
      hint: 'letters, digits and hyphens stand between the dots (or write the Unicode spelling)',
    });
  return name;
}

export function parseDomainName(text: string): string {
  const domain = normaliseDomain(text.trim().replace(/\.$/, ''));
  if (domain === undefined || domain.startsWith('['))
    throw new PosternError('usage', `"${text.slice(0, 80)}" is no domain name`, {
      hint: 'write a mail domain, for example example.org',
    });
  return domain;
}

/** The entry below `container`, the same in the configuration directory and on an edge. */
export function domainEntry(domain: AcceptedDomain, container: string): AddRequest {
  const attributes: Attribute[] = [
    attribute('objectClass', 'posternAcceptedDomain'),
    attribute('cn', domain.domain),
    attribute('posternDomainKind', domain.kind),
    ...(domain.catchAll ? [attribute('posternCatchAll', 'TRUE')] : []),
    ...(domain.recipientDelimiter === ''
      ? []
      : [attribute('posternRecipientDelimiter', domain.recipientDelimiter)]),
    ...(domain.maxAgeMs === undefined
      ? []
      : [attribute('posternMaxAge', String(Math.round(domain.maxAgeMs / 1000)))]),
  ];
  return { op: 'addRequest', dn: `cn=${domain.domain},${container}`, attributes };
}

/** Undefined for an entry that is no domain. `posternMaxAge` is in seconds. */
export function readDomain(attributes: readonly Attribute[]): AcceptedDomain | undefined {
  const text = (type: string): string =>
    attributes.find((a) => a.type.toLowerCase() === type.toLowerCase())?.values[0]?.toString('utf8') ?? '';
  const kind = DOMAIN_KINDS.find((known) => known === text('posternDomainKind'));
  const domain = text('cn');
  if (kind === undefined || domain === '') return undefined;
  const seconds = text('posternMaxAge');
  return {
    domain,
    kind,
    catchAll: text('posternCatchAll') === 'TRUE',
    recipientDelimiter: text('posternRecipientDelimiter'),
    maxAgeMs: /^\d{1,10}$/.test(seconds) ? Number(seconds) * 1000 : undefined,
  };
}

export function domainDocument(domain: AcceptedDomain) {
  return {
    domain: domain.domain,
    kind: domain.kind,
    catchAll: domain.catchAll,
    recipientDelimiter: domain.recipientDelimiter,
    maxAge: domain.maxAgeMs === undefined ? 'default' : formatDuration(domain.maxAgeMs),
  };
}

function attribute(type: string, value: string): Attribute {
  return { type, values: [Buffer.from(value)] };
}
