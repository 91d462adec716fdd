/** Two real charons with a cable between, each with a key, and connections as plain vici messages: front-end `fe.example`, back-end `be.example`. */
import { Secret } from '../../src/base/secret.ts';
import { systemClock } from '../../src/base/clock.ts';
import { loadKey } from '../../src/vici/command.ts';
import { connectVici, type ViciConnection } from '../../src/vici/connection.ts';
import type { ViciTree } from '../../src/vici/message.ts';
import { makeCertificate, type TestCertificate } from './certificate.ts';
import { type Charon, startCharon } from './charon.ts';
import { NetworkPair } from './network-namespace.ts';

export interface PairSide {
  readonly id: string;
  readonly address: string;
  readonly certificate: TestCertificate;
  readonly charon: Charon;
  readonly vici: ViciConnection;
}

export interface CharonPair extends AsyncDisposable {
  readonly frontEnd: PairSide;
  readonly backEnd: PairSide;
}

/** With their keys loaded, and nothing else. */
export async function startCharonPair(): Promise<CharonPair> {
  const stack = new AsyncDisposableStack();
  try {
    const namespaces = stack.use(await NetworkPair.create());
    const side = async (id: string, place: 'a' | 'b', address: string): Promise<PairSide> => {
      const charon = stack.use(await startCharon({ namespace: namespaces[place] }));
      const certificate = await makeCertificate({ name: id });
      const vici = stack.use(await connectVici({ path: charon.viciPath, clock: systemClock }));
      await loadKey(vici, new Secret(certificate.key));
      return { id, address, certificate, charon, vici };
    };
    const frontEnd = await side('fe.example', 'a', '10.66.0.1');
    const backEnd = await side('be.example', 'b', '10.66.0.2');
    return { frontEnd, backEnd, [Symbol.asyncDispose]: () => stack.disposeAsync() };
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

/** A connection from `own` to `peer` with one child of the same name, POP3 and IMAP at the back-end. */
export function plainConnection(own: PairSide, peer: PairSide, more: ViciTree = {}): ViciTree {
  const ports = (address: string, all: boolean): string[] =>
    all ? [`${address}/32[tcp]`] : [`${address}/32[tcp/110]`, `${address}/32[tcp/143]`];
  const isFrontEnd = own.id === 'fe.example';
  return {
    version: 2,
    mobike: false,
    unique: 'replace',
    local_addrs: [own.address],
    remote_addrs: [peer.address],
    'local-1': { auth: 'pubkey', id: own.id, certs: [own.certificate.certificate] },
    'remote-1': { auth: 'pubkey', id: peer.id, certs: [peer.certificate.certificate] },
    children: {
      mail: {
        mode: 'transport',
        local_ts: ports(own.address, isFrontEnd),
        remote_ts: ports(peer.address, !isFrontEnd),
        start_action: 'trap',
      },
    },
    ...more,
  };
}
