/**
 * Whether somebody else's certificate can be this node's: peers look at its key only, but programs and people beside them look at the rest, and
 * what is wrong is easier to mend before it is shown than after. Pure.
 */
import { X509Certificate } from 'node:crypto';
import { PosternError } from '../base/error.ts';
import type { Identity } from './identity.ts';

export interface BroughtFor {
  /** Host name of this node, lower case. */
  readonly fqdn: string;
  readonly role: 'edge' | 'hub';
  /** Unix milliseconds. */
  readonly now: number;
}

const EXTENDED_KEY_USAGE = {
  edge: { oid: '1.3.6.1.5.5.7.3.1', name: 'serverAuth', why: 'an edge is a TLS server' },
  hub: { oid: '1.3.6.1.5.5.7.3.2', name: 'clientAuth', why: 'a hub is a TLS client' },
} as const;
const ANY_USAGE = '2.5.29.37.0';

/** Throws `certificate.invalid` with the first thing that is wrong. That key and certificate belong together was judged before. */
export function checkBrought({ certificate }: Identity, { fqdn, role, now }: BroughtFor): void {
  const date = (at: number): string => new Date(at).toISOString().slice(0, 10);
  if (now >= certificate.notAfter)
    throw wrong(`it expired on ${date(certificate.notAfter)}`, 'bring one that is valid now');
  if (now < certificate.notBefore)
    throw wrong(
      `it is not valid before ${date(certificate.notBefore)}`,
      "wait until then, or look at this machine's clock",
    );
  if (!certificate.names.some((name) => covers(name.toLowerCase(), fqdn)))
    throw wrong(
      `its subject alternative name does not have ${fqdn}${certificate.names.length === 0 ? '' : ` (it has ${certificate.names.slice(0, 5).join(', ')})`}`,
      'have it issued for this host; a common name alone counts nowhere any more',
    );
  // Undefined without the extension: then it is good for everything.
  const usages = new X509Certificate(certificate.der).keyUsage as readonly string[] | undefined;
  const needed = EXTENDED_KEY_USAGE[role];
  if (usages !== undefined && !usages.includes(needed.oid) && !usages.includes(ANY_USAGE))
    throw wrong(
      `its extended key usage does not have ${needed.name}, and ${needed.why}`,
      `have it issued with extendedKeyUsage = ${needed.name}`,
    );
}

/** RFC 6125 §6.4.3: a wildcard stands for one whole label, the leftmost. */
function covers(name: string, fqdn: string): boolean {
  if (name === fqdn) return true;
  return name.startsWith('*.') && fqdn.slice(fqdn.indexOf('.') + 1) === name.slice(2) && fqdn.includes('.');
}

function wrong(what: string, hint: string): PosternError {
  return new PosternError('certificate.invalid', `the certificate cannot be used here: ${what}`, { hint });
}
