/** Policies for tests, from the text of an ipsec.toml: certificates are made for whoever it names. */
import { generateKeyPairSync } from 'node:crypto';
import { type Certificate, parseCertificate } from '../../src/certificate/parse.ts';
import { selfSignedCertificate } from '../../src/certificate/self-signed.ts';
import { ipsecConfigSchema } from '../../src/config/ipsec-config.ts';
import { parseConfig } from '../../src/config/load.ts';
import { buildPolicy, type PeerDescription, type Policy } from '../../src/ipsec/policy/policy.ts';

export const NOW = Date.UTC(2026, 10, 22);
const DAY = 86_400_000;
const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });

/** One key for all: what is compared are certificates. */
export function certificateFor(id: string, notAfter = NOW + 3650 * DAY, serial = 1): Certificate {
  return parseCertificate(
    selfSignedCertificate({
      ...pair,
      names: [id],
      serial: Buffer.alloc(16, serial),
      notBefore: NOW - 10 * DAY,
      notAfter,
    }),
  );
}

/** `peers` are imported ones, beside those of the text. */
export function policyOf(
  toml: string,
  peers: readonly Partial<PeerDescription>[] = [],
  own?: ReadonlyMap<string, Certificate>,
): Policy {
  const config = parseConfig(ipsecConfigSchema, toml, 'ipsec.toml');
  const ids = [config.name, ...config.virtual_server.map(({ name }) => name)];
  const written = config.peer.map(
    (peer, index): PeerDescription => ({
      source: `peer.${index}`,
      id: peer.name,
      addresses: peer.addresses,
      certificates: [certificateFor(peer.name)],
      protect: peer.protect ?? [],
    }),
  );
  const imported = peers.map((peer, index): PeerDescription => {
    const id = peer.id ?? `peer${index}.example.org`;
    return {
      source: `${id}.peer`,
      id,
      addresses: ['192.0.2.99'],
      certificates: [certificateFor(id)],
      protect: [],
      ...peer,
    };
  });
  return buildPolicy(
    {
      config,
      certificates: own ?? new Map(ids.map((id) => [id, certificateFor(id)])),
      peers: [...written, ...imported],
      now: NOW,
    },
    'ipsec.toml',
  );
}

export const FRONT_END = `
role = "front-end"
name = "edge1.example.org"
addresses = ["192.0.2.10", "2001:db8::10"]
[[peer]]
name = "mail.example.org"
addresses = ["192.0.2.50", "2001:db8::50"]
certificates = ["/x"]
protect = ["passwords"]
`;

export const BACK_END = `
role = "back-end"
name = "node1.example.org"
addresses = ["192.0.2.21", "2001:db8::21"]
protect = ["passwords"]
[[virtual_server]]
name = "mail.example.org"
addresses = ["192.0.2.50", "2001:db8::50"]
[[peer]]
name = "edge1.example.org"
addresses = ["192.0.2.10", "2001:db8::10"]
certificates = ["/x"]
[guard]
clear_from = ["198.51.100.0/24"]
`;
