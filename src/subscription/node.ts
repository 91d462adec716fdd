/**
 * A node's own keys: makes identity and sealing key on the first start, reads them on every later one, and keeps the sealing statement right.
 * Gives back what the rest takes as `identity`, `sealingKeys` and an open trust store. How an identity is followed by the next is
 * rollover-keeper.ts's.
 */
import { basename, join } from 'node:path';
import type { z } from 'zod';
import type { Clock } from '../base/clock.ts';
import { isPosternError, PosternError } from '../base/error.ts';
import type { Files } from '../base/files.ts';
import type { Log } from '../base/log.ts';
import type { Random } from '../base/random.ts';
import { createIdentity, type Identity, loadIdentity, saveIdentity } from '../certificate/identity.ts';
import { type IdentityPlace, keepIdentity, readIdentity } from '../certificate/identity-files.ts';
import { hostName } from '../certificate/name.ts';
import { formatFingerprint, type Pin } from '../certificate/pin.ts';
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
  /** How long a certificate of our own making is good; 3650 unless told. */
  readonly validDays?: number;
  /**
   * Somebody else's certificate instead of one of our own making. It is copied into the data folder. A node that is subscribed begins with the
   * identity its peers trust, without asking: another one follows it by a rollover.
   */
  readonly foreign?: (() => Promise<Identity>) | undefined;
}

/** What a node shows and could show. Changed by the rollover's driver only. */
export interface Identities {
  current: Identity;
  /** Announced. */
  next: Identity | undefined;
  /** The one before, until it is dropped. */
  former: Identity | undefined;
}

export interface Node<T> {
  /** The present one: ask again after a rollover. */
  readonly identity: Identity;
  readonly identities: Identities;
  /** Lower case. */
  readonly fqdn: string;
  readonly store: TrustStore<T>;
}

/** The pins under which this node is, or lately was, known: records that name one of them are its own. */
export function ownPins({ current, next, former }: Identities): Pin[] {
  return [current, next, former].flatMap((identity) => identity?.pin ?? []);
}

export function openEdgeNode(options: NodeOptions): Promise<Node<EdgeTrustState>> {
  return openNode(
    options,
    EDGE_TRUST_STORE,
    edgeTrustSchema,
    newEdgeTrust,
    (state) => Object.keys(state.hubs).length > 0 || state.subscription !== undefined,
  );
}

export function openHubNode(options: NodeOptions): Promise<Node<HubTrustState>> {
  return openNode(
    options,
    HUB_TRUST_STORE,
    hubTrustSchema,
    newHubTrust,
    (state) => Object.keys(state.edges).length + Object.keys(state.peers).length > 0,
  );
}

async function openNode<T extends NodeTrust>(
  options: NodeOptions,
  name: string,
  schema: z.ZodType<T>,
  make: (node: Pick<NodeTrust, 'identity' | 'sealingKeys' | 'sealingStatement'>) => T,
  hasPeers: (state: T) => boolean,
): Promise<Node<T>> {
  const { files, clock, random, log, foreign } = options;
  const fqdn = hostName(options.fqdn);
  const folder = join(options.folder, 'trust');
  await files.makeFolder(folder);
  const known = (await files.list(folder)).some((file) => /-trust\.[ab]$/.test(file));
  const store = await openTrustStore(files, folder, name, schema, known ? undefined : await firstTrust(), {
    log,
  });
  try {
    const identities = await load(store.value);
    await restate(identities.current);
    return {
      identities,
      fqdn,
      store,
      get identity() {
        return identities.current;
      },
    };
  } catch (error) {
    await store.close();
    throw error;
  }

  async function load(state: T): Promise<Identities> {
    const { identity: place, nextIdentity, formerIdentity, rollover } = state;
    if (foreign !== undefined && !hasPeers(state) && rollover.phase === 'steady') {
      const given = await foreign();
      if (given.pin !== place.pin) {
        const kept = await keepIdentity(files, folder, given);
        await store.update((draft) => ({ ...draft, identity: { ...kept, brought: true } }));
        return { current: given, next: undefined, former: undefined };
      }
    }
    const current = await present(place);
    // An earlier version used the administrator's own files where they were.
    if (!(await files.exists(here(place).keyFile))) {
      const kept = await keepIdentity(files, folder, current);
      await store.update((draft) => ({ ...draft, identity: { ...kept, brought: true } }));
    }
    return {
      current,
      next: nextIdentity === undefined ? undefined : await present(nextIdentity),
      // Deleted before the store says so: a crash in between.
      former:
        formerIdentity === undefined || !(await files.exists(here(formerIdentity).keyFile))
          ? undefined
          : await readIdentity(files, here(formerIdentity)),
    };
  }

  /** The data folder may have moved since the path was written. */
  function here({ keyFile, pin }: IdentityPlace): IdentityPlace {
    const path = join(folder, basename(keyFile));
    return { keyFile: path, certificateFile: path, pin };
  }

  async function present(place: IdentityPlace): Promise<Identity> {
    if (await files.exists(here(place).keyFile)) return readIdentity(files, here(place));
    if (await files.exists(place.keyFile)) return readIdentity(files, place);
    // Making another one would hide that the peers trust the key that is gone.
    throw new PosternError(
      'trust.damaged',
      `the identity ${place.keyFile} is missing, but the trust store is there`,
      { hint: 'put the file back from a backup' },
    );
  }

  /** Under this key and this name; both may have changed. */
  async function restate(identity: Identity): Promise<void> {
    if (statementHolds(store.value, identity, fqdn)) return;
    const publicKey = store.value.sealingKeys[0]?.publicKey ?? Buffer.alloc(0);
    const sealingStatement = stateSealingKey(identity, publicKey, { subject: fqdn, issuedAt: clock.now() });
    await store.update((draft) => ({ ...draft, sealingStatement }));
  }

  async function firstTrust(): Promise<T> {
    const own = join(folder, 'identity.pem');
    const given = await foreign?.();
    const identity = given ?? (await ownIdentity(options, own, fqdn));
    const place =
      given === undefined
        ? { keyFile: own, certificateFile: own, pin: identity.pin }
        : { ...(await keepIdentity(files, folder, given)), brought: true };
    const sealing = createSealingKeyPair(random);
    const sealingStatement = stateSealingKey(identity, sealing.publicKey, {
      subject: fqdn,
      issuedAt: clock.now(),
    });
    return make({ identity: place, sealingKeys: [sealing], sealingStatement });
  }
}

/** Makes the first identity; one that is there was made before the crash that kept the trust store from being written. */
async function ownIdentity(options: NodeOptions, path: string, fqdn: string): Promise<Identity> {
  const { files, clock, random, log, validDays } = options;
  if (await files.exists(path)) return loadIdentity(files, path);
  const identity = await createIdentity(fqdn, {
    clock,
    random,
    ...(validDays === undefined ? {} : { validDays }),
  });
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
