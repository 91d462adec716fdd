/** What a side of `startCharonPair` should hold, by the shape that policies are compiled to. */
import { createHash, createPublicKey } from 'node:crypto';
import { Secret } from '../../src/base/secret.ts';
import type { DesiredChild, DesiredConnection, DesiredKey, DesiredState } from '../../src/ipsec/desired.ts';
import type { TestCertificate } from './certificate.ts';

export interface DesiredSide {
  readonly id: string;
  readonly address: string;
  readonly certificate: TestCertificate;
}

export const CONNECTION = 'postern-pair-v4';

export function desiredState(
  own: DesiredSide,
  peer: DesiredSide,
  more: {
    connection?: Partial<DesiredConnection>;
    child?: Partial<DesiredChild>;
    pins?: readonly string[];
  } = {},
): DesiredState {
  const isFrontEnd = own.id.startsWith('fe');
  const any = (address: string) => [{ address, protocol: 6, ports: [0, 65_535] as const }];
  const service = (address: string) =>
    [110, 143].map((port) => ({ address, protocol: 6, ports: [port, port] as const }));
  return {
    connections: [
      {
        name: CONNECTION,
        family: 'ipv4',
        local: { id: own.id, addresses: [own.address], port: 500, certificate: own.certificate.certificate },
        remote: {
          id: peer.id,
          addresses: [peer.address],
          port: 500,
          certificates: more.pins ?? [peer.certificate.certificate],
        },
        ikeProposals: ['aes256gcm16-prfsha384-ecp384'],
        ikeRekeySeconds: 14_400,
        dpdSeconds: 2,
        encapsulate: false,
        children: [
          {
            name: `${CONNECTION}-passwords`,
            localSelectors: isFrontEnd ? any(own.address) : service(own.address),
            remoteSelectors: isFrontEnd ? service(peer.address) : any(peer.address),
            espProposals: ['aes256gcm16-ecp384'],
            rekeySeconds: 3600,
            lifeSeconds: 3960,
            startAction: 'trap',
            dpdAction: 'trap',
            closeAction: 'trap',
            ...more.child,
          },
        ],
        ...more.connection,
      },
    ],
    keys: [keyOf(own.certificate)],
    bypasses: [],
    settings: { retransmitTimeout: 0.5, retransmitBase: 1, retransmitTries: 2 },
  };
}

/** Named as charon names it: SHA-1 of the subjectPublicKey. */
export function keyOf({ key }: TestCertificate): DesiredKey {
  const spki = createPublicKey(key).export({ type: 'spki', format: 'der' });
  // The last element of a P-256 SubjectPublicKeyInfo: an uncompressed point of 65 bytes.
  return { keyId: createHash('sha1').update(spki.subarray(-65)).digest('hex'), privateKey: new Secret(key) };
}
