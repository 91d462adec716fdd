/**
 * The driver of a node's rollover, on both sides: carries out what `certificate/rollover` decides, one thing after the other. Keys are on the disk
 * before the trust store names them, and the trust store is written before anything is shown. Knows no connections: who is told is the caller's.
 */
import { join } from 'node:path';
import type { Clock, Timer } from '../base/clock.ts';
import { isPosternError, PosternError } from '../base/error.ts';
import type { Files } from '../base/files.ts';
import type { Log } from '../base/log.ts';
import type { Random } from '../base/random.ts';
import { createIdentity, type Identity } from '../certificate/identity.ts';
import { deleteIdentity, keepIdentity } from '../certificate/identity-files.ts';
import { formatFingerprint, type Pin } from '../certificate/pin.ts';
import {
  type RolloverAction,
  type RolloverEvent,
  type RolloverFacts,
  type RolloverTimings,
  stepRollover,
  waitingFor,
} from '../certificate/rollover/rollover.ts';
import { createSealingKeyPair } from '../certificate/sealing.ts';
import {
  claimedIssuer,
  stateNextCertificate,
  stateSealingKey,
  verifyStatement,
} from '../certificate/statement.ts';
import type { TrustStore } from '../certificate/trust-store.ts';
import type { Node } from './node.ts';
import type { NodeTrust } from './trust-state.ts';

/** What only the role knows. */
export type RoleFacts = Pick<RolloverFacts, 'peers' | 'fileUntil' | 'resealed'>;

export interface RolloverKeeperOptions<T extends NodeTrust> {
  readonly node: Node<T>;
  /** The node's data folder. */
  readonly folder: string;
  readonly files: Files;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly timings: RolloverTimings;
  readonly validDays: number;
  readonly facts: () => RoleFacts;
  /** The certificate that the configuration names; undefined when it names none. Read and judged anew at each look. */
  readonly configured?: (() => Promise<Identity>) | undefined;
  /** Statements or the shown identity have changed: peers are to be told, and listeners to show it. */
  readonly onChange: (what: 'announced' | 'switched' | 'renewed') => void;
  /** Done at the end of each cycle, before the next decision; throws `PosternError` when it has to be tried again. */
  readonly care?: () => Promise<void>;
}

const EVERY_MS = 3_600_000;
const RETRY_MS = 60_000;
/** Statements that are kept: whoever was away for more rollovers than this has to be subscribed again. */
export const MOST_SUCCESSIONS = 8;
/** All of them go in one message that strangers may send. */
const MOST_SUCCESSION_BYTES = 40 * 1024;

export class RolloverKeeper<T extends NodeTrust> {
  readonly #options: RolloverKeeperOptions<T>;
  #turn: Promise<unknown> = Promise.resolve();
  #timer: Timer | undefined;
  #stopped = false;
  #unusable: string | undefined;

  constructor(options: RolloverKeeperOptions<T>) {
    this.#options = options;
  }

  /** Why the certificate that the configuration names is not used. */
  get unusable(): string | undefined {
    return this.#unusable;
  }

  /** Peers that have not shown yet what is waited for. */
  get waitingFor(): string[] {
    return waitingFor(this.#store.value.rollover, this.#options.facts().peers);
  }

  /** What this node states of itself, for peers. */
  get statements(): Buffer[] {
    const { successions, sealingStatement } = this.#store.value;
    return [...successions, sealingStatement].map((bytes) => Buffer.from(bytes));
  }

  start(): void {
    void this.cycle();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    await this.#turn;
  }

  /** Looks what is to be done, now; resolves when it is done or has failed (which the log says). */
  cycle(): Promise<void> {
    return this.#inTurn(() => this.#cycle());
  }

  /** `cert renew`. Throws `refused` when a rollover is under way, or when the configuration names the certificate. */
  async renew(): Promise<void> {
    if (this.#options.configured !== undefined) return this.#renewConfigured();
    await this.#inTurn(async () => {
      this.#requireSteady();
      await this.#feed({ type: 'renew' });
    });
    await this.cycle();
  }

  /** A certificate that somebody brought, judged before: it follows the present one. Throws `refused`. */
  async use(next: Identity): Promise<'renewed' | 'announced'> {
    if (this.#options.configured !== undefined)
      throw new PosternError('refused', 'the certificate of this node is named in its configuration', {
        hint: 'replace the files that [identity] names, then: postern cert renew; or take [identity] out and start the daemon again',
      });
    const done = await this.#inTurn(() => this.#use(next));
    await this.cycle();
    return done;
  }

  /** Looks at the files now. */
  async #renewConfigured(): Promise<void> {
    const shown = (): string =>
      [this.#options.node.identity, this.#options.node.identities.next]
        .map((one) => one?.certificate.der.toString('base64'))
        .join();
    const before = shown();
    await this.cycle();
    if (shown() !== before) return;
    throw new PosternError(
      'refused',
      this.#unusable === undefined
        ? 'the files that [identity] names hold the present certificate'
        : `what [identity] names is not used: ${this.#unusable}`,
      { hint: 'put the new certificate and its key into the files that [identity] names' },
    );
  }

  /** A peer has told by which pins it accepts this node. */
  holds(peer: string, pins: readonly Pin[]): Promise<void> {
    return this.#happened({ type: 'holds', peer, pins });
  }

  /** A peer has accepted a session in which this node showed `pin`. */
  accepted(peer: string, pin: Pin): Promise<void> {
    return this.#happened({ type: 'accepted', peer, pin });
  }

  /** Nothing is written, and no turn taken, when the event changes nothing. */
  async #happened(event: RolloverEvent): Promise<void> {
    const { rollover } = this.#store.value;
    const { clock, timings } = this.#options;
    if (stepRollover(rollover, event, clock.now(), timings).state === rollover) return;
    await this.#inTurn(() => this.#feed(event));
    await this.cycle();
  }

  get #store(): TrustStore<T> {
    return this.#options.node.store;
  }

  #inTurn<R>(work: () => Promise<R>): Promise<R> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => undefined);
    return done;
  }

  async #cycle(): Promise<void> {
    if (this.#stopped) return;
    const { clock, log } = this.#options;
    let nextMs = EVERY_MS;
    let lookedAt = clock.now();
    try {
      await this.#lookAtConfigured();
      await this.#options.care?.();
      // Each decision may make the next one due; a rollover has a handful.
      for (let left = 6; left > 0; left--) {
        lookedAt = clock.now();
        const actions = await this.#feed({ type: 'cycle', facts: this.#facts() });
        for (const action of actions) await this.#perform(action);
        if (actions.length === 0) break;
        await this.#options.care?.();
      }
    } catch (error) {
      if (isPosternError(error))
        log.warn('the rollover of the certificate cannot go on now; it is tried again', { error });
      else log.error('the rollover of the certificate failed; it is tried again', { error });
      nextMs = RETRY_MS;
    } finally {
      this.#timer?.cancel();
      if (!this.#stopped)
        this.#timer = clock.after(
          'certificate.cycle',
          this.#delay(nextMs, lookedAt),
          () => void this.cycle(),
          {
            background: true,
          },
        );
    }
  }

  /** Until the end of the overlap when that is sooner, and was still to come when it was looked at last. */
  #delay(mostMs: number, lookedAt: number): number {
    const { phase, since } = this.#store.value.rollover;
    const { clock, timings } = this.#options;
    if (phase === 'steady' || since === undefined) return mostMs;
    const endsAt = since + timings.overlapMs;
    return endsAt > lookedAt ? Math.min(Math.max(0, endsAt - clock.now()), mostMs) : mostMs;
  }

  #facts(): RolloverFacts {
    const { node, configured, facts } = this.#options;
    const { certificate } = node.identity;
    return {
      expiresAt: certificate.notAfter,
      renewable: configured === undefined && certificate.selfIssued && !this.#store.value.identity.brought,
      oldSealingKeys: this.#store.value.sealingKeys.length > 1,
      ...facts(),
    };
  }

  /** The state after the event is on the disk before the actions are returned. */
  async #feed(event: RolloverEvent): Promise<RolloverAction[]> {
    const { clock, timings } = this.#options;
    const { rollover } = this.#store.value;
    const { state, actions } = stepRollover(rollover, event, clock.now(), timings);
    if (state !== rollover) await this.#store.update((draft) => ({ ...draft, rollover: state }));
    return actions;
  }

  async #perform(action: RolloverAction): Promise<void> {
    const { node, clock, random, validDays, log } = this.#options;
    switch (action.type) {
      case 'make':
        return this.#announce(await createIdentity(node.fqdn, { clock, random, validDays }), false);
      case 'switch':
        if (action.without.length > 0)
          log.warn(
            'the overlap is over: the new key is shown to peers that have not heard of it, which follow its statement',
            {
              peers: action.without,
            },
          );
        return this.#switch();
      case 'drop':
        if (action.without.length > 0)
          log.warn(
            'the overlap is over: the former key goes, and peers that were away follow the statements',
            {
              peers: action.without,
            },
          );
        return this.#drop();
      case 'forget':
        await this.#store.update((draft) => ({ ...draft, sealingKeys: draft.sealingKeys.slice(0, 1) }));
        log.info('sealing keys before the present one are deleted');
    }
  }

  /** The next identity is on the disk, and states who it is, signed by both keys. */
  async #announce(next: Identity, brought: boolean): Promise<void> {
    const { node, files, clock, timings, log, onChange } = this.#options;
    const kept = { ...(await keepIdentity(files, this.#folder, next)), ...(brought ? { brought } : {}) };
    const { successions, rollover } = this.#store.value;
    const last = successions.at(-1);
    const now = clock.now();
    const issuedAt = Math.max(now, last === undefined ? 0 : issuedAtOf(last) + 1);
    const statement = stateNextCertificate(node.identity, next, { subject: node.fqdn, issuedAt });
    const { state } = stepRollover(rollover, { type: 'made', pin: next.pin }, now, timings);
    await this.#store.update((draft) => ({
      ...draft,
      rollover: state,
      nextIdentity: kept,
      successions: fewEnough([...draft.successions, statement]),
    }));
    node.identities.next = next;
    log.info('the next certificate is announced', { fingerprint: formatFingerprint(next.pin) });
    onChange('announced');
  }

  /** With the new identity comes a new sealing key: whoever had the old machine's keys opens nothing that is sealed from now on. */
  async #switch(): Promise<void> {
    const { node, clock, random, timings, log, onChange } = this.#options;
    const { current: former, next } = node.identities;
    const place = this.#store.value.nextIdentity;
    if (next === undefined || place === undefined)
      throw new PosternError('internal', 'there is no identity to switch to');
    const now = clock.now();
    const sealing = createSealingKeyPair(random);
    const issuedAt = Math.max(now, issuedAtOf(this.#store.value.sealingStatement) + 1);
    const sealingStatement = stateSealingKey(next, sealing.publicKey, { subject: node.fqdn, issuedAt });
    const event = { type: 'switched', former: former.pin } as const;
    const { state } = stepRollover(this.#store.value.rollover, event, now, timings);
    await this.#store.update((draft) => ({
      ...draft,
      rollover: state,
      identity: place,
      nextIdentity: undefined,
      formerIdentity: draft.identity,
      sealingKeys: [sealing, ...draft.sealingKeys],
      sealingStatement,
    }));
    Object.assign(node.identities, { current: next, next: undefined, former });
    log.info('the new certificate is shown from now on', { fingerprint: formatFingerprint(next.pin) });
    onChange('switched');
  }

  async #drop(): Promise<void> {
    const { node, files, log } = this.#options;
    const { formerIdentity } = this.#store.value;
    if (formerIdentity !== undefined) await deleteIdentity(files, this.#folder, formerIdentity);
    node.identities.former = undefined;
    await this.#store.update((draft) => ({ ...draft, formerIdentity: undefined }));
    await this.#feed({ type: 'dropped' });
    log.info('the former key is deleted');
  }

  async #use(given: Identity): Promise<'renewed' | 'announced'> {
    const { node, onChange } = this.#options;
    const { current, next } = node.identities;
    if (given.pin === current.pin) {
      await this.#recertify(given);
      onChange('renewed');
      return 'renewed';
    }
    if (given.pin === next?.pin) return 'announced';
    this.#requireSteady();
    if (this.#store.value.successions.some((bytes) => bytes.includes(given.certificate.spki)))
      throw new PosternError('refused', 'this node has used that key before', {
        hint: 'bring one with a new key',
      });
    await this.#announce(given, true);
    return 'announced';
  }

  /** The same key with another certificate: nobody who pins it has to be asked. */
  async #recertify(given: Identity): Promise<void> {
    const { node, files, log } = this.#options;
    const kept = await keepIdentity(files, this.#folder, given);
    await this.#store.update((draft) => ({ ...draft, identity: { ...kept, brought: true } }));
    node.identities.current = given;
    log.info('the certificate was renewed with the same key', { until: given.certificate.notAfter });
  }

  /** [identity] of the configuration: another certificate there is used as "cert use" would. */
  async #lookAtConfigured(): Promise<void> {
    const { configured, node, log } = this.#options;
    if (configured === undefined) return;
    try {
      const given = await configured();
      const { current, next } = node.identities;
      this.#unusable = undefined;
      if (given.certificate.der.equals(current.certificate.der) || given.pin === next?.pin) return;
      if (given.pin !== current.pin && this.#store.value.rollover.phase !== 'steady') return;
      await this.#use(given);
    } catch (error) {
      if (!isPosternError(error)) throw error;
      const why = error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
      if (why !== this.#unusable)
        log.warn('the certificate that the configuration names is not used; the present one goes on', {
          error,
        });
      this.#unusable = why;
    }
  }

  #requireSteady(): void {
    const { phase } = this.#store.value.rollover;
    if (phase === 'steady') return;
    const peers = this.waitingFor;
    throw new PosternError(
      'refused',
      `a rollover is under way (${phase})${peers.length === 0 ? '' : `; it waits for ${peers.join(', ')}`}`,
      { hint: '"postern cert show" says how far it is' },
    );
  }

  get #folder(): string {
    return join(this.#options.folder, 'trust');
  }
}

function fewEnough(statements: readonly Buffer[]): Buffer[] {
  let kept = statements.slice(-MOST_SUCCESSIONS);
  while (kept.length > 1 && kept.reduce((sum, bytes) => sum + bytes.length, 0) > MOST_SUCCESSION_BYTES)
    kept = kept.slice(1);
  return kept;
}

/** Of a statement of our own. */
function issuedAtOf(statement: Uint8Array): number {
  return verifyStatement(statement, claimedIssuer(statement)).issuedAt;
}
