/** Where an LDAP server is reached: an address with the kind of transport. Parsing of what administrators write; no sockets here. */
import { PosternError } from '../base/error.ts';

export type LdapTarget =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number; readonly tls: boolean }
  | { readonly kind: 'unix'; readonly path: string };

const DEFAULT_PORT = { ldap: 389, ldaps: 636 } as const;

/** Reads `ldap://host[:port]`, `ldaps://host[:port]` or `ldapi://%2Fpath%2Fto%2Fsocket`. Anything behind the address is an error (`usage`). */
export function parseTarget(url: string): LdapTarget {
  const match = /^(ldap|ldaps|ldapi):\/\/([^/?#]*)\/?$/i.exec(url);
  const scheme = match?.[1]?.toLowerCase();
  const address = match?.[2] ?? '';
  if (scheme === 'ldapi') {
    const path = decode(address);
    if (path === undefined || !path.startsWith('/')) throw notATarget(url);
    return { kind: 'unix', path };
  }
  const parts = /^(?:\[([0-9a-f:.%]+)\]|([^:[\]@\s]+))(?::(\d{1,5}))?$/i.exec(address);
  const host = parts?.[1] ?? parts?.[2];
  if ((scheme !== 'ldap' && scheme !== 'ldaps') || host === undefined) throw notATarget(url);
  const port = parts?.[3] === undefined ? DEFAULT_PORT[scheme] : Number(parts[3]);
  if (port < 1 || port > 65_535) throw notATarget(url);
  return { kind: 'tcp', host, port, tls: scheme === 'ldaps' };
}

/** For messages: `host:port`, `[address]:port` or the path. */
export function describeTarget(target: LdapTarget): string {
  if (target.kind === 'unix') return target.path;
  return target.host.includes(':') ? `[${target.host}]:${target.port}` : `${target.host}:${target.port}`;
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

function notATarget(url: string): PosternError {
  return new PosternError('usage', `not the address of an LDAP server: "${url.slice(0, 100)}"`, {
    hint: 'write ldap://host:389, ldaps://host:636 or ldapi://%2Frun%2Fslapd%2Fldapi',
  });
}
