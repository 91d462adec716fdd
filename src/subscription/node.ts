/**
 * A node's own keys: makes identity and sealing key on the first start, reads them on every later one, and keeps the sealing statement right.
 * Gives back what the rest takes as `identity`, `sealingKeys` and an open trust store.
 */
import { join } from 'node:path';
import type { z } from 'zod';
import type { Clock } from '../base/clock.ts';
import { isPosternError, PosternError } from '../base/error.ts';
import type { Files } from '../base/files.ts';
import type { Log } from '../base/log.ts';
import type { Random } from '../base/random.ts';
import { createIdentity, type Identity, loadIdentity, saveIdentity } from '../certificate/identity.ts';
import { hostName } from '../certificate/name.ts';
import { formatFingerprint } from '../certificate/pin.ts';
import { createSealingKeyPair } from '../certificate/sealing.ts';
import { stateSealingKey, verifyClaim } from '../certificate/statement.ts';
import { openTrustStore, type TrustStore } from '../certificate/trust-store.ts';
import {
  EDGE_TRUST_STORE,
  type EdgeTrustState,
  edgeTrustSchema,
  HUB_TRUST_STORE,
  type HubTrustState,
  hubTrustSchema,
  newEdgeTrust,
  newHubTrust,
  type NodeTrust,
} from './trust-state.ts';

export interface NodeOptions {
  readonly files: Files;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** The node's data folder; its private parts go to `trust/` in it. */
  readonly folder: string;
  readonly fqdn: string;
  /** Somebody else's certificate instead of one of our own making. */
  readonly foreign?: { readonly keyFile: string; readonly certificateFile: string } | undefined;
}

export interface Node<T> {
  readonly identity: Identity;
  /** Lower case. */
  readonly fqdn: string;
  readonly store: TrustStore<T>;
}

export function openEdgeNode(options: NodeOptions): Promise<Node<EdgeTrustState>> {
  return openNode(
    options,
    EDGE_TRUST_STORE,
    edgeTrustSchema,
    newEdgeTrust,
    (state) => Object.keys(state.hubs).length > 0,
  );
}

export function openHubNode(options: NodeOptions): Promise<Node<HubTrustState>> {
  return openNode(
    options,
    HUB_TRUST_STORE,
    hubTrustSchema,
    newHubTrust,
    (state) => Object.keys(state.edges).length > 0,
  );
}

async function openNode<T extends NodeTrust>(
  options: NodeOptions,
  name: string,
  schema: z.ZodType<T>,
  make: (node: Omit<NodeTrust, 'version'>) => T,
  hasPeers: (state: T) => boolean,
): Promise<Node<T>> {
  const { files, clock, random, log } = options;
  const fqdn = hostName(options.fqdn);
  const folder = join(options.folder, 'trust');
  await files.makeFolder(folder);
  const own = join(folder, 'identity.pem');
  const paths = options.foreign ?? { keyFile: own, certificateFile: own };
  const identity =
    options.foreign === undefined
      ? await ownIdentity(options, own, fqdn)
      : await loadIdentity(files, paths.keyFile, paths.certificateFile);
  const store = await openTrustStore(files, folder, name, schema, await firstTrust(), { log });
  if (store.value.identity.pin !== identity.pin && hasPeers(store.value)) {
    await store.close();
    throw new PosternError(
      'certificate.invalid',
      'the identity of this node is another one than the one its peers trust',
      {
        hint: `put the former key back (${store.value.identity.keyFile}), or end its subscriptions before changing it`,
        fields: {
          trusted: formatFingerprint(store.value.identity.pin),
          found: formatFingerprint(identity.pin),
        },
      },
    );
  }
  if (store.value.identity.pin !== identity.pin || !statementHolds(store.value, identity, fqdn)) {
    const sealingStatement = stateSealingKey(
      identity,
      store.value.sealingKeys[0]?.publicKey ?? Buffer.alloc(0),
      { subject: fqdn, issuedAt: clock.now() },
    );
    await store.update((draft) => ({
      ...draft,
      identity: { ...paths, pin: identity.pin },
      sealingStatement,
    }));
  }
  return { identity, fqdn, store };

  async function firstTrust(): Promise<T> {
    const sealing = await createSealingKeyPair(random);
    const sealingStatement = stateSealingKey(identity, sealing.publicKey, {
      subject: fqdn,
      issuedAt: clock.now(),
    });
    return make({ identity: { ...paths, pin: identity.pin }, sealingKeys: [sealing], sealingStatement });
  }
}

/**
 * Makes the identity once. A missing file beside an existing trust store is not the first start: the peers trust the key that is gone, and making
 * another would hide that.
 */
async function ownIdentity(options: NodeOptions, path: string, fqdn: string): Promise<Identity> {
  const { files, clock, random, log } = options;
  if (await files.exists(path)) return loadIdentity(files, path);
  const stores = await files.list(join(options.folder, 'trust'));
  if (stores.some((file) => /-trust\.[ab]$/.test(file))) {
    throw new PosternError('trust.damaged', `the identity ${path} is missing, but the trust store is there`, {
      hint: 'put the file back from a backup',
    });
  }
  const identity = await createIdentity(fqdn, { clock, random });
  await saveIdentity(files, path, identity);
  log.info('identity made', { path, fingerprint: formatFingerprint(identity.pin) });
  return identity;
}

function statementHolds(state: NodeTrust, identity: Identity, fqdn: string): boolean {
  try {
    const { claim } = verifyClaim(state.sealingStatement, identity.pin, 'sealingKey', fqdn);
    return claim.publicKey.equals(state.sealingKeys[0]?.publicKey ?? Buffer.alloc(0));
  } catch (error) {
    if (isPosternError(error)) return false;
    throw error;
  }
}
