/**
 * The certificates of an edge's world: its own, which is followed by the next one day, and those of the hubs, whose pins follow what they state.
 * What is judged here is a statement; the rules of a rollover are in `certificate/rollover`, the pins of a peer in `certificate/peer-pins.ts`.
 */
import { type Clock, yieldToLoop } from '../../base/clock.ts';
import { isPosternError } from '../../base/error.ts';
import type { Log } from '../../base/log.ts';
import { type Pin, pinBytes, pinFromBytes } from '../../certificate/pin.ts';
import { followStatements, pinsOf, sawPin, settlePins } from '../../certificate/peer-pins.ts';
import { claimedIssuer } from '../../certificate/statement.ts';
import { nameKey } from '../../credential/account-name.ts';
import { hubByPin } from '../../credential/bind.ts';
import { type AdmittedHub, findHub } from '../../credential/credential-state.ts';
import { type ExtendedReply, type Session, SUCCESS } from '../../directory/directory.ts';
import { decodeIdentities, encodeIdentities } from '../../ldap/identity-values.ts';
import type { Node } from '../../subscription/node.ts';
import type { RoleFacts, RolloverKeeper } from '../../subscription/rollover-keeper.ts';
import type { EdgeTrustState } from '../../subscription/trust-state.ts';
import { peerPin } from './authenticate.ts';

export interface EdgeCertificatesOptions {
  readonly node: Node<EdgeTrustState>;
  readonly keeper: () => RolloverKeeper<EdgeTrustState>;
  readonly overlapMs: number;
  readonly clock: Pick<Clock, 'now'>;
  readonly log: Log;
}

export class EdgeCertificates {
  readonly #options: EdgeCertificatesOptions;

  constructor(options: EdgeCertificatesOptions) {
    this.#options = options;
  }

  /**
   * The extended operation `identities`. Whoever calls has proved a key by TLS; before any bind, too: so a hub that has rolled over while this edge was
   * away is known again by its own word, and a hub that was away learns what this edge shows now.
   */
  async handle(value: Buffer | undefined, session: Session): Promise<ExtendedReply> {
    const told = decodeIdentities(value);
    const { keeper } = this.#options;
    const pin = peerPin(session.connection);
    const hub = pin === undefined ? undefined : await this.#hubOf(pin, told.statements);
    if (hub !== undefined) await keeper().holds(nameKey(hub.name), told.holds.map(pinFromBytes));
    const answer = encodeIdentities({
      statements: keeper().statements,
      holds: hub === undefined ? [] : pinsOf(hub.pins).map(pinBytes),
    });
    return { result: SUCCESS, value: answer };
  }

  /** A hub has bound on a connection that showed the present identity, with this key of its own. */
  bound(name: string, pin: Pin): void {
    const { node, keeper, log } = this.#options;
    const own = node.identity.pin;
    this.#saw(name, pin)
      .then(() => keeper().accepted(nameKey(name), own))
      .catch((error: unknown) => log.error('the key of a hub could not be noted', { hub: name, error }));
  }

  /** After the overlap a hub's former key does not count any more. */
  async settle(): Promise<void> {
    const { node, clock, overlapMs, log } = this.#options;
    const now = clock.now();
    for (const hub of Object.values(node.store.value.hubs)) {
      if (settlePins(hub.pins, now, overlapMs) === hub.pins) continue;
      await this.#change(hub.name, (known) => ({ ...known, pins: settlePins(known.pins, now, overlapMs) }));
      log.info('the former key of a hub counts no more', { hub: hub.name });
    }
  }

  /** Who has to be waited for before another key is shown: hubs that can bind. */
  facts(): RoleFacts {
    const { accounts, hubs } = this.#options.node.store.value;
    const now = this.#options.clock.now();
    const able = new Set(
      accounts.flatMap((one) => (one.kind === 'esra' && now < one.expiresAt ? [nameKey(one.hub ?? '')] : [])),
    );
    return {
      peers: Object.keys(hubs).filter((key) => able.has(key)),
      fileUntil: accounts.find((one) => one.kind === 'bootstrap')?.expiresAt,
      resealed: true,
    };
  }

  /** The hub that this key is, by its pins or by what it states of itself. */
  async #hubOf(pin: Pin, statements: readonly Buffer[]): Promise<AdmittedHub | undefined> {
    const { node, log } = this.#options;
    const issuers = new Set(statements.flatMap((bytes) => unlessInvalid(() => claimedIssuer(bytes)) ?? []));
    const hubs = Object.values(node.store.value.hubs);
    for (const hub of hubs) {
      // Nothing is verified for those that the caller says nothing about.
      if (!pinsOf(hub.pins).some((one) => issuers.has(one))) continue;
      // Each costs some signatures.
      await yieldToLoop();
      const { pins } = followStatements(hub.pins, hub.fqdn, statements);
      if (pins === hub.pins || !pinsOf(pins).includes(pin)) continue;
      await this.#change(hub.name, (known) => {
        const followed = followStatements(known.pins, known.fqdn, statements);
        if (followed.pins === known.pins || !pinsOf(followed.pins).includes(pin)) return known;
        const { certificate } = followed;
        return { ...known, pins: followed.pins, ...(certificate && { nextCertificate: certificate }) };
      });
      log.info('a hub has announced its next certificate', { hub: hub.name });
    }
    const found = hubByPin(node.store.value, pin);
    if (found === undefined && issuers.size > 0)
      log.warn('somebody told of a next certificate without being a hub of ours, or its successor');
    return found;
  }

  async #saw(name: string, pin: Pin): Promise<void> {
    const hub = findHub(this.#options.node.store.value.hubs, name);
    const now = this.#options.clock.now();
    if (hub === undefined || sawPin(hub.pins, pin, now) === hub.pins) return;
    await this.#change(name, (known) => {
      const { nextCertificate, ...rest } = known;
      const shown = pin === known.pins.next ? nextCertificate : undefined;
      return {
        ...rest,
        pins: sawPin(known.pins, pin, now),
        ...(shown === undefined ? { nextCertificate } : { certificate: shown }),
      };
    });
  }

  async #change(name: string, change: (hub: AdmittedHub) => AdmittedHub): Promise<void> {
    await this.#options.node.store.update((draft) => {
      const hub = findHub(draft.hubs, name);
      return hub === undefined ? draft : { ...draft, hubs: { ...draft.hubs, [nameKey(name)]: change(hub) } };
    });
  }
}

function unlessInvalid<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (isPosternError(error)) return undefined;
    throw error;
  }
}
