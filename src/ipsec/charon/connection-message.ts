/**
 * What is sent to charon for a connection or a bypass, and digests that tell what a change means for the associations that exist. charon's own
 * start action is only ever the trap: with `start`, replacing a connection would make charon close its children.
 */
import { createHash, X509Certificate } from 'node:crypto';
import { PosternError } from '../../base/error.ts';
import type { ViciTree } from '../../vici/message.ts';
import type { DesiredBypass, DesiredChild, DesiredConnection } from '../desired.ts';
import { writeSelector } from './selector-text.ts';

export function connectionMessage(connection: DesiredConnection): ViciTree {
  const { local, remote } = connection;
  return {
    version: 2,
    mobike: false,
    unique: 'replace',
    // A NAT would be a violation; moving behind one unnoticed would be worse.
    fragmentation: true,
    send_certreq: false,
    // Who is pinned is known already. Beside several pins, a copy that came with the handshake is not taken for the pinned one, and refused.
    send_cert: 'never',
    local_addrs: [...local.addresses],
    remote_addrs: [...remote.addresses],
    local_port: local.port,
    remote_port: remote.port,
    encap: connection.encapsulate,
    proposals: [...connection.ikeProposals],
    rekey_time: connection.ikeRekeySeconds,
    dpd_delay: connection.dpdSeconds,
    // The trap calls again: charon itself need not go on.
    keyingtries: 1,
    'local-1': { auth: 'pubkey', id: local.id, certs: [local.certificate] },
    'remote-1': { auth: 'pubkey', id: remote.id, certs: [...remote.certificates], revocation: 'relaxed' },
    children: Object.fromEntries(connection.children.map((child) => [child.name, childMessage(child)])),
  };
}

function childMessage(child: DesiredChild): ViciTree {
  return {
    mode: 'transport',
    local_ts: child.localSelectors.map(writeSelector),
    remote_ts: child.remoteSelectors.map(writeSelector),
    esp_proposals: [...child.espProposals],
    rekey_time: child.rekeySeconds,
    life_time: child.lifeSeconds,
    start_action: 'trap',
    dpd_action: charonAction(child.dpdAction),
    close_action: charonAction(child.closeAction),
  };
}

const charonAction = (action: DesiredChild['dpdAction'] | DesiredChild['closeAction']): string =>
  action === 'clear' ? 'none' : action;

/** Never used for key exchange: nobody can come from those addresses. */
const NOBODY = { ipv4: '127.0.0.1', ipv6: '::1' } as const;

export function bypassMessage(bypass: DesiredBypass): ViciTree {
  return {
    version: 2,
    local_addrs: [NOBODY[bypass.family]],
    remote_addrs: [NOBODY[bypass.family]],
    children: {
      [bypass.name]: {
        mode: 'pass',
        local_ts: bypass.localSelectors.map(writeSelector),
        remote_ts: bypass.remoteSelectors.map(writeSelector),
        start_action: 'trap',
      },
    },
  };
}

/** What was loaded, as far as it matters later. Kept across our own restarts. */
export interface LoadedRecord {
  /** Of all of it: another one is loaded anew. */
  readonly digest: string;
  /** Of what existing associations are made of: with another one they are made anew. */
  readonly material: string;
  /** SHA-256 of each pinned certificate. When one goes, so do the associations: they may have been made with it. */
  readonly pins: readonly string[];
}

export function recordOf(connection: DesiredConnection): LoadedRecord {
  const { local, remote, ...rest } = connection;
  const { certificate: _own, ...localRest } = local;
  const { certificates, ...remoteRest } = remote;
  return {
    digest: digestOf(connection),
    material: digestOf({ ...rest, local: localRest, remote: remoteRest }),
    pins: certificates.map(certificateDigest).sort(),
  };
}

export const bypassRecordOf = (bypass: DesiredBypass): LoadedRecord => ({
  digest: digestOf(bypass),
  material: digestOf(bypass),
  pins: [],
});

function digestOf(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('base64url');
}

function certificateDigest(pem: string): string {
  try {
    return createHash('sha256').update(new X509Certificate(pem).raw).digest('base64url');
  } catch (cause) {
    throw new PosternError('certificate.invalid', 'a pinned certificate cannot be read', { cause });
  }
}
