/** This host's IPsec policy for whoever works with it, daemon or command: where its parts are, and how they come together. Nothing is decided here. */
import { join } from 'node:path';
import { controlClient } from '../admin/control-client.ts';
import type { IpsecStatus } from '../admin/ipsec-documents.ts';
import type { Clock } from '../base/clock.ts';
import { isPosternError, PosternError } from '../base/error.ts';
import type { Files } from '../base/files.ts';
import { type FolderLock, lockFolder } from '../base/folder-lock.ts';
import { silentLog } from '../base/log.ts';
import type { Random } from '../base/random.ts';
import { type Identity, loadIdentity } from '../certificate/identity.ts';
import { parseCertificate } from '../certificate/parse.ts';
import { certificatesFromPem } from '../certificate/pem.ts';
import type { Pin } from '../certificate/pin.ts';
import type { IpsecConfig } from '../config/ipsec-config.ts';
import { missingPlugins, oldVersion } from '../ipsec/charon/capability.ts';
import { xfrmKernel } from '../ipsec/charon/kernel.ts';
import { Reconciler } from '../ipsec/charon/reconciler.ts';
import { readServiceNames } from '../ipsec/charon/selector-text.ts';
import { chooseMechanism, Guard } from '../ipsec/guard/guard.ts';
import { guardScope } from '../ipsec/guard/scope.ts';
import { keyIdOfCertificate } from '../ipsec/key-id.ts';
import {
  keyFile,
  makeOwnCertificates,
  nodeIdentity,
  readOwnCertificates,
} from '../ipsec/peer/own-certificates.ts';
import { importedDescriptions, readPeers } from '../ipsec/peer/peer-folder.ts';
import { buildPolicy, type PeerDescription, type Policy } from '../ipsec/policy/policy.ts';
import { runProgram, startDetached } from '../ipsec/run-program.ts';
import { readEffective, type StateFolders } from '../ipsec/state/effective-state.ts';
import { desiredOf, makeState, type PolicyState } from '../ipsec/state/policy-state.ts';
import { bootMoment } from '../ipsec/trial/boot-clock.ts';
import { Trials } from '../ipsec/trial/trials.ts';
import { getStats, getVersion } from '../vici/command.ts';
import { connectVici } from '../vici/connection.ts';
import { subscriptionIdentity, subscriptionPins } from './ipsec/subscription-trust.ts';

export interface PolicyHostParts {
  readonly files: Files;
  readonly clock: Clock;
  readonly random: Random;
}

export interface CharonFailure {
  readonly what: string;
  readonly error: string;
  readonly code: string;
}

/** How long a command waits for charon to answer. */
const PATIENCE_MS = 5000;

export class PolicyHost {
  readonly config: IpsecConfig;
  /** For messages. */
  readonly path: string;
  readonly folders: StateFolders;
  readonly trials: Trials;
  readonly #parts: PolicyHostParts;

  constructor(config: IpsecConfig, path: string, parts: PolicyHostParts) {
    this.config = config;
    this.path = path;
    this.#parts = parts;
    this.folders = { confirmed: config.apply.state_folder, run: config.apply.run_folder };
    this.trials = new Trials({
      files: parts.files,
      folders: this.folders,
      run: runProgram,
      detach: startDetached,
      random: parts.random,
      now: () => bootMoment(parts.files),
      viciSocket: config.charon.socket,
      exclusive: (work) => this.#exclusive(work),
    });
  }

  /** This node's name, and its virtual servers. */
  get ids(): string[] {
    return [this.config.name, ...this.config.virtual_server.map(({ name }) => name)];
  }

  /** Who vouches for this node's certificates. */
  async identity(): Promise<Identity> {
    const { files } = this.#parts;
    const { subscription, identity, name } = this.config;
    if (subscription !== undefined) return subscriptionIdentity(files, subscription);
    if (identity !== undefined) return loadIdentity(files, identity.key_file, identity.certificate_file);
    return nodeIdentity(this.#own, name);
  }

  /** Makes what is missing. */
  makeCertificates(): Promise<Map<string, Identity>> {
    return makeOwnCertificates(this.#own, this.ids);
  }

  /** Pins that the subscriptions of this machine hold for a node. */
  async trustedPins(node: string): Promise<readonly Pin[]> {
    const { subscription } = this.config;
    return subscription === undefined ? [] : subscriptionPins(this.#parts.files, subscription, node);
  }

  /** The policy as it is written now. Throws `config.invalid`. */
  async policy(): Promise<{ policy: Policy; keys: PolicyState['keys'] }> {
    const { files, clock } = this.#parts;
    const own = await readOwnCertificates(this.#own, this.ids);
    const certificates = new Map([...own].map(([id, { certificate }]) => [id, certificate]));
    const imported = importedDescriptions(await readPeers(files, this.config.data));
    const written = await Promise.all(this.config.peer.map((peer, index) => this.#written(peer, index)));
    const policy = buildPolicy(
      { config: this.config, certificates, peers: [...written, ...imported], now: clock.now() },
      this.path,
    );
    const keys = [...certificates].map(([id, certificate]) => ({
      keyId: keyIdOfCertificate(certificate),
      file: keyFile(this.config.data, id),
    }));
    return { policy, keys };
  }

  /** What the policy as it is written comes to on this machine. */
  async planned(): Promise<PolicyState> {
    const { policy, keys } = await this.policy();
    const charon = policy.stage === 'observe' ? undefined : await this.charonVersion().catch(() => undefined);
    const mechanism = await chooseMechanism(runProgram, this.config.guard.mechanism, guardScope(policy));
    return makeState({ policy, keys, mechanism, ...(charon === undefined ? {} : { charon }) });
  }

  /** First number of charon's version. Throws `vici.unreachable`, or `vici.unsupported` for a charon that cannot do what is needed. */
  async charonVersion(): Promise<number> {
    await using charon = await connectVici({ path: this.config.charon.socket, clock: this.#parts.clock });
    const version = await getVersion(charon);
    const unfit = oldVersion(version) ?? missingPlugins((await getStats(charon)).plugins);
    if (unfit !== undefined) throw unfit;
    return Number.parseInt(version.version, 10);
  }

  /** Makes charon hold what is in force: by the daemon when it runs, else here and now. Throws when charon is away. */
  async bringAbout(): Promise<readonly CharonFailure[]> {
    const { files, clock } = this.#parts;
    const daemon = controlClient(join(this.config.data, 'control.sock'));
    const { origin, state } = await readEffective(files, this.folders);
    try {
      for (const giveUpAt = clock.monotonic() + PATIENCE_MS; clock.monotonic() < giveUpAt; ) {
        const { policy } = await daemon.call<Pick<IpsecStatus, 'policy'>>('GET', '/v1/status');
        if (policy.origin === origin && policy.id === state?.id) break;
        await clock.sleep('ipsec.daemon', 20);
      }
      return (await daemon.call<{ failures: CharonFailure[] }>('POST', '/v1/reconcile')).failures;
    } catch (error) {
      if (!isPosternError(error, 'daemon.unreachable')) throw error;
    }
    return this.#bringAboutHere();
  }

  /** The guard of what is in force; undefined when nothing is. */
  async guard(): Promise<Guard | undefined> {
    const { origin, folder } = await readEffective(this.#parts.files, this.folders);
    return origin === 'none' ? undefined : new Guard(runProgram, folder);
  }

  async #bringAboutHere(): Promise<readonly CharonFailure[]> {
    const { files, clock, random } = this.#parts;
    const { state } = await readEffective(files, this.folders);
    const services = await files.readFile('/etc/services').then(String, () => '');
    await files.makeFolder(this.config.data);
    await using reconciler = new Reconciler({
      viciPath: this.config.charon.socket,
      memoryPath: join(this.config.data, 'charon.json'),
      kernel: xfrmKernel(runProgram),
      serviceNames: readServiceNames(services),
      files,
      clock,
      random,
      log: silentLog,
      beforeLoading: async () => {
        await (await this.guard())?.mend();
      },
      clearText: () => Promise.resolve(undefined),
    });
    await reconciler.start();
    const desired = await desiredOf(files, state);
    for (const giveUpAt = clock.monotonic() + PATIENCE_MS; ; ) {
      try {
        await reconciler.setDesired(desired);
        return reconciler.status.failures;
      } catch (error) {
        if (!isPosternError(error, 'vici.unreachable', 'vici.closed') || clock.monotonic() > giveUpAt)
          throw error;
        await clock.sleep('ipsec.charon', 20);
      }
    }
  }

  /** Daemon and commands, one after the other. The lock ends with its process. */
  async #exclusive<T>(work: () => Promise<T>): Promise<T> {
    const { files, clock } = this.#parts;
    await files.makeFolder(this.folders.run);
    const lock = await this.#lock(clock.monotonic() + PATIENCE_MS);
    try {
      return await work();
    } finally {
      await lock.release();
    }
  }

  async #lock(giveUpAt: number): Promise<FolderLock> {
    const { clock } = this.#parts;
    for (;;) {
      try {
        return await lockFolder(this.folders.run);
      } catch (error) {
        if (!isPosternError(error, 'folder.in-use') || clock.monotonic() > giveUpAt) throw error;
        await clock.sleep('ipsec.lock', 20);
      }
    }
  }

  get #own(): PolicyHostParts & { folder: string } {
    return { ...this.#parts, folder: this.config.data };
  }

  async #written(peer: IpsecConfig['peer'][number], index: number): Promise<PeerDescription> {
    const texts = await Promise.all(peer.certificates.map((path) => this.#pem(path)));
    return {
      source: `peer.${index}`,
      id: peer.name,
      addresses: peer.addresses,
      certificates: texts.flatMap((text) => certificatesFromPem(text).slice(0, 1).map(parseCertificate)),
      protect: peer.protect ?? [],
    };
  }

  async #pem(path: string): Promise<Buffer> {
    try {
      return await this.#parts.files.readFile(path);
    } catch (cause) {
      throw new PosternError('config.invalid', `${this.path}: cannot read the certificate ${path}`, {
        cause,
        hint: 'check the path and its permissions, or import the peer with "postern ipsec peer import" instead',
      });
    }
  }
}
