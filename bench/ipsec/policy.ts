/** A front-end's policy with many back-ends, each with a key of its own; and the same connections as files of swanctl. */
import { generateKeyPairSync } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Certificate, parseCertificate } from '../../src/certificate/parse.ts';
import { selfSignedCertificate } from '../../src/certificate/self-signed.ts';
import { ipsecConfigSchema } from '../../src/config/ipsec-config.ts';
import { parseConfig } from '../../src/config/load.ts';
import { connectionMessage } from '../../src/ipsec/charon/connection-message.ts';
import { keyIdOfCertificate } from '../../src/ipsec/key-id.ts';
import { buildPolicy, type PeerDescription, type Policy } from '../../src/ipsec/policy/policy.ts';
import { makeState, type PolicyState } from '../../src/ipsec/state/policy-state.ts';
import type { ViciInput, ViciTree } from '../../src/vici/message.ts';

const DAY = 86_400_000;

export interface ManyPeers {
  readonly toml: string;
  readonly peers: readonly PeerDescription[];
  readonly own: Certificate;
  /** PEM. */
  readonly privateKey: string;
}

export function manyPeers(count: number, toml: string): ManyPeers {
  const own = makeIdentity('fe.example');
  return {
    toml,
    own: own.certificate,
    privateKey: own.privateKey,
    peers: Array.from({ length: count }, (_, n) => ({
      source: `peer ${n}`,
      id: `be${n}.example`,
      addresses: [`10.${77 + (n >> 16)}.${(n >> 8) & 255}.${n & 255}`],
      certificates: [makeIdentity(`be${n}.example`).certificate],
      protect: ['passwords'],
    })),
  };
}

function makeIdentity(id: string): { certificate: Certificate; privateKey: string } {
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const [notBefore, notAfter] = [Date.now() - DAY, Date.now() + 3650 * DAY];
  const serial = Buffer.from(id.padEnd(16, '-').slice(0, 16));
  return {
    certificate: parseCertificate(
      selfSignedCertificate({ ...pair, names: [id], serial, notBefore, notAfter }),
    ),
    privateKey: pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}

/** What `plan` works out before it looks at charon. */
export function policyOf({ toml, peers, own }: ManyPeers): Policy {
  const config = parseConfig(ipsecConfigSchema, toml, 'ipsec.toml');
  return buildPolicy(
    { config, certificates: new Map([['fe.example', own]]), peers, now: Date.now() },
    'ipsec.toml',
  );
}

export function stateOf(many: ManyPeers, keyFile: string): PolicyState {
  const keys = [{ keyId: keyIdOfCertificate(many.own), file: keyFile }];
  return makeState({ policy: policyOf(many), keys, mechanism: 'none' });
}

/** swanctl.conf and its folders, in `folder`. */
export async function writeSwanctl(folder: string, many: ManyPeers, state: PolicyState): Promise<void> {
  for (const name of ['x509', 'private']) await mkdir(join(folder, name), { recursive: true });
  await writeFile(join(folder, 'private', 'own.pem'), many.privateKey, { mode: 0o600 });
  const files = new Map<string, string>();
  const fileOf = (pem: string): string => {
    const name = files.get(pem) ?? `${files.size}.pem`;
    files.set(pem, name);
    return name;
  };
  const blocks = state.connections.map(
    (one) => `${plainName(one.name)} {\n${swanctlText(connectionMessage(one), fileOf)}}\n`,
  );
  await writeFile(join(folder, 'swanctl.conf'), `connections {\n${blocks.join('')}}\n`);
  for (const [pem, name] of files) await writeFile(join(folder, 'x509', name), pem);
}

/** swanctl takes a dot in a name for a section within a section, and finds nothing. */
const plainName = (name: string): string => name.replaceAll('.', '_');

function swanctlText(tree: ViciTree, fileOf: (pem: string) => string): string {
  const valueOf = (key: string, input: ViciInput): string => {
    if (Array.isArray(input))
      return input.map((item: unknown) => (key === 'certs' ? fileOf(String(item)) : String(item))).join(',');
    return typeof input === 'boolean' ? (input ? 'yes' : 'no') : String(input as string | number);
  };
  return Object.entries(tree)
    .map(([key, input]) => {
      if (input === undefined) return '';
      const isSection = typeof input === 'object' && !Array.isArray(input) && !(input instanceof Uint8Array);
      return isSection
        ? `${plainName(key)} {\n${swanctlText(input as ViciTree, fileOf)}}\n`
        : `${key} = ${valueOf(key, input)}\n`;
    })
    .join('');
}
