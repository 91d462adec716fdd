/** A policy that protects some ports between the two sides of a `startCharonPair`, in force at one of them. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseCertificate } from '../../src/certificate/parse.ts';
import { ipsecConfigSchema } from '../../src/config/ipsec-config.ts';
import { parseConfig } from '../../src/config/load.ts';
import { buildPolicy } from '../../src/ipsec/policy/policy.ts';
import { makeState } from '../../src/ipsec/state/policy-state.ts';
import type { PairSide } from './charon-pair.ts';
import { keyOf } from './desired-state.ts';
import { IpsecProcess } from './ipsec-process.ts';

export function ipsecDaemon(own: PairSide): IpsecProcess {
  const role = own.id.startsWith('fe') ? 'front-end' : 'back-end';
  return new IpsecProcess(own.charon, `role = "${role}"\nname = "${own.id}"\naddresses = ["${own.address}"]`);
}

/** As if it had been applied and confirmed. */
export async function confirm(
  daemon: IpsecProcess,
  own: PairSide,
  peer: PairSide,
  protect: readonly string[] = ['passwords'],
  /** Another name than that under which the key is written: it is not there then. */
  keyName = 'own-key.pem',
): Promise<void> {
  const config = parseConfig(ipsecConfigSchema, daemon.toml, 'ipsec.toml');
  const [ours, theirs] = config.role === 'front-end' ? [[], [...protect]] : [[...protect], []];
  const description = {
    source: 'peer',
    id: peer.id,
    addresses: [peer.address],
    certificates: [parseCertificate(peer.certificate.der)],
    protect: theirs,
  };
  const policy = buildPolicy(
    {
      config: { ...config, protect: ours },
      certificates: new Map([[own.id, parseCertificate(own.certificate.der)]]),
      peers: [description],
      now: Date.now(),
    },
    'ipsec.toml',
  );
  const file = join(own.charon.folder, 'own-key.pem');
  await writeFile(file, own.certificate.key, { mode: 0o600 });
  const { keyId } = keyOf(own.certificate);
  await daemon.putInForce(
    makeState({ policy, keys: [{ keyId, file: join(own.charon.folder, keyName) }], mechanism: 'nft' }),
  );
}
