/** LDAP URLs, RFC 4516, both ways, with `ldaps` and `ldapi` (a unix socket as host, percent-encoded). */
import { isIPv6 } from 'node:net';
import { DecodeError } from '../base/decode-error.ts';
import { isAttributeDescription, isOidName } from './attribute-description.ts';
import { parseDn } from './dn.ts';
import { formatFilter, parseFilter } from './filter.ts';
import type { Filter, Scope } from './message.ts';

export interface UrlExtension {
  readonly critical: boolean;
  readonly type: string;
  readonly value?: string;
}

export interface LdapUrl {
  readonly scheme: 'ldap' | 'ldaps' | 'ldapi';
  /** Name or address, IPv6 without brackets; for ldapi the path of the socket. Empty: the client's choice. */
  readonly host: string;
  readonly port?: number;
  readonly dn: string;
  readonly attributes: readonly string[];
  readonly scope?: Scope;
  readonly filter?: Filter;
  readonly extensions: readonly UrlExtension[];
}

const MOST_CHARACTERS = 65_536;
const SCOPES: ReadonlyMap<string, Scope> = new Map([
  ['base', 'base'],
  ['one', 'one'],
  ['sub', 'subtree'],
]);
const SCOPE_TEXT = { base: 'base', one: 'one', subtree: 'sub' } as const;

/** The port a URL means: its own or its scheme's; undefined for ldapi. */
export function urlPort(url: Pick<LdapUrl, 'scheme' | 'port'>): number | undefined {
  if (url.scheme === 'ldapi') return undefined;
  return url.port ?? (url.scheme === 'ldaps' ? 636 : 389);
}

/** Text to a URL; DN and filter are checked too. Throws `DecodeError` (offset in characters). */
export function parseLdapUrl(text: string): LdapUrl {
  if (text.length > MOST_CHARACTERS) throw new DecodeError('URL is too long', MOST_CHARACTERS);
  if (!text.isWellFormed()) throw new DecodeError('URL is not well-formed text', 0);
  const match = /^(ldaps|ldapi|ldap):\/\/([^/?]*)(?:\/([^]*))?$/i.exec(text);
  if (match === null) throw new DecodeError('not an LDAP URL', 0);
  const scheme = (match[1] as string).toLowerCase() as LdapUrl['scheme'];
  const address = parseAddress(scheme, match[2] as string);
  const parts = (match[3] ?? '').split('?');
  if (parts.length > 5) throw new DecodeError('URL has too many parts', 0);
  const [dn = '', attributes = '', scope = '', filter = '', extensions = ''] = parts;
  const decodedDn = percentDecode(dn);
  parseDn(decodedDn);
  const scopeName = SCOPES.get(scope.toLowerCase());
  if (scope !== '' && scopeName === undefined)
    throw new DecodeError('scope is neither base, one nor sub', text.indexOf(scope));
  return {
    scheme,
    ...address,
    dn: decodedDn,
    attributes: attributes === '' ? [] : attributes.split(',').map(parseSelector),
    extensions: extensions === '' ? [] : extensions.split(',').map(parseExtension),
    ...(scopeName !== undefined && { scope: scopeName }),
    ...(filter !== '' && { filter: parseFilter(percentDecode(filter)) }),
  };
}

function parseAddress(scheme: LdapUrl['scheme'], text: string): { host: string; port?: number } {
  if (scheme === 'ldapi') return { host: percentDecode(text) };
  const match = /^(?:\[([0-9A-Fa-f:.]*)\]|([A-Za-z0-9._~-]*))(?::(\d{1,5}))?$/.exec(text);
  const port = Number(match?.[3] ?? 1);
  if (match === null || (match[1] !== undefined && !isIPv6(match[1])) || port < 1 || port > 65_535) {
    throw new DecodeError('malformed host or port', scheme.length + 3);
  }
  const host = match[1] ?? match[2] ?? '';
  return match[3] === undefined ? { host } : { host, port };
}

function parseSelector(text: string): string {
  const name = percentDecode(text);
  if (name !== '*' && name !== '+' && name !== '1.1' && !isAttributeDescription(name))
    throw new DecodeError('malformed attribute description', 0);
  return name;
}

function parseExtension(text: string): UrlExtension {
  const critical = text.startsWith('!');
  const equals = text.indexOf('=');
  const type = percentDecode(text.slice(critical ? 1 : 0, equals < 0 ? undefined : equals));
  if (!isOidName(type)) throw new DecodeError('malformed extension', 0);
  return equals < 0 ? { critical, type } : { critical, type, value: percentDecode(text.slice(equals + 1)) };
}

function percentDecode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (cause) {
    if (cause instanceof URIError) throw new DecodeError('malformed percent-encoding', 0);
    throw cause;
  }
}

/** Leaves out what is empty at the end. */
export function formatLdapUrl(url: LdapUrl): string {
  const host =
    url.scheme === 'ldapi'
      ? encodeURIComponent(url.host)
      : url.host.includes(':')
        ? `[${url.host}]`
        : url.host;
  const parts = [
    percentEncode(url.dn),
    url.attributes.map(percentEncode).join(','),
    url.scope === undefined ? '' : SCOPE_TEXT[url.scope],
    url.filter === undefined ? '' : percentEncode(formatFilter(url.filter)),
    url.extensions.map(formatExtension).join(','),
  ];
  while (parts.at(-1) === '') parts.pop();
  const address = `${url.scheme}://${host}${url.port === undefined ? '' : `:${url.port}`}`;
  return parts.length === 0 ? address : `${address}/${parts.join('?')}`;
}

function formatExtension(extension: UrlExtension): string {
  const value = extension.value === undefined ? '' : `=${encodeURIComponent(extension.value)}`;
  return `${extension.critical ? '!' : ''}${percentEncode(extension.type)}${value}`;
}

/** Keeps what RFC 3986 lets stand in a path and LDAP gives no meaning to, so that DNs and filters stay readable. */
function percentEncode(text: string): string {
  return encodeURIComponent(text).replace(/%(3D|2C|3A|40|26|3B|2B|24)/g, (code) => decodeURIComponent(code));
}
