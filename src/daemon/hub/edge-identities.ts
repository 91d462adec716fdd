/**
 * The keys of this hub and of its edges, as they tell each other: what an edge states moves the pins that are kept of it, what it holds moves the
 * rollover of this hub. Every change is durable before it is used.
 */
import type { Clock } from '../../base/clock.ts';
import { isPosternError } from '../../base/error.ts';
import type { Log } from '../../base/log.ts';
import type { Identity } from '../../certificate/identity.ts';
import { followStatements, pinsOf, sawPin, settlePins, shownPin } from '../../certificate/peer-pins.ts';
import { formatFingerprint, type Pin, type PinSet } from '../../certificate/pin.ts';
import { claimedIssuer, verifyClaim, verifyStatement } from '../../certificate/statement.ts';
import { nameKey } from '../../credential/account-name.ts';
import type { Node } from '../../subscription/node.ts';
import type { RolloverKeeper } from '../../subscription/rollover-keeper.ts';
import { findEdge, type HubTrustState, type SubscribedEdge } from '../../subscription/trust-state.ts';
import type { LinkIdentities, ToldIdentities } from '../../sync/push/edge-identity.ts';

export interface EdgeIdentitiesOptions {
  readonly node: Node<HubTrustState>;
  readonly keeper: () => RolloverKeeper<HubTrustState>;
  readonly overlapMs: number;
  readonly clock: Pick<Clock, 'now'>;
  readonly log: Log;
  /** An edge shows another key, or states another sealing key: its object in the configuration directory has to say so. */
  readonly onChanged: () => void;
}

export class EdgeIdentities {
  readonly #options: EdgeIdentitiesOptions;
  /** Edges that refused the present key: the former one is tried in its place, once. */
  readonly #refused = new Set<string>();

  constructor(options: EdgeIdentitiesOptions) {
    this.#options = options;
  }

  /** What this hub shows to an edge: its present key, or the former one, as long as there is one, when the edge has refused the present one. */
  shown(edgeName: string): Identity {
    const { current, former } = this.#options.node.identities;
    return former !== undefined && this.#refused.has(nameKey(edgeName)) ? former : current;
  }

  of(edgeName: string): LinkIdentities {
    const { node, keeper } = this.#options;
    const edge = (): SubscribedEdge | undefined => findEdge(node.store.value, edgeName);
    return {
      told: () => {
        const known = edge();
        return { statements: keeper().statements, holds: known === undefined ? [] : pinsOf(known.pins) };
      },
      get introduces() {
        return node.store.value.successions.length > 0;
      },
      follow: (statements, shown) => this.#follow(edgeName, statements, shown),
      met: (heard, shown, own) => this.#met(edgeName, heard, shown, own),
      refused: () => {
        const key = nameKey(edgeName);
        if (!this.#refused.delete(key)) this.#refused.add(key);
      },
    };
  }

  /** After the overlap an edge's former key does not count any more. */
  async settle(): Promise<void> {
    const { node, clock, overlapMs, log } = this.#options;
    const now = clock.now();
    for (const { name, pins } of Object.values(node.store.value.edges)) {
      if (settlePins(pins, now, overlapMs) === pins) continue;
      await this.#change(name, (edge) => ({ ...edge, pins: settlePins(edge.pins, now, overlapMs) }));
      log.info('the former key of an edge counts no more', { edge: name });
    }
  }

  async #follow(name: string, statements: readonly Buffer[], shown: Pin): Promise<PinSet | undefined> {
    const { node, log } = this.#options;
    const edge = findEdge(node.store.value, name);
    if (edge === undefined || !pinsOf(this.#followed(edge, statements).pins).includes(shown))
      return undefined;
    await this.#change(name, (known) => this.#followed(known, statements));
    log.info('an edge has another key, as it has stated itself', {
      edge: name,
      fingerprint: formatFingerprint(shown),
    });
    return findEdge(node.store.value, name)?.pins;
  }

  async #met(name: string, heard: ToldIdentities | undefined, shown: Pin, own: Pin): Promise<void> {
    const { node, keeper, clock, onChanged } = this.#options;
    const key = nameKey(name);
    if (own === node.identity.pin) this.#refused.delete(key);
    const news = (edge: SubscribedEdge): SubscribedEdge => {
      const followed = this.#followed(edge, heard?.statements ?? []);
      const met = this.#sealing(this.#showed(followed, shown, clock.now()), heard, shown);
      if (same(edge, met)) return edge;
      if (met.pins === edge.pins || heard === undefined) return met;
      return { ...met, statements: heard.statements.filter((bytes) => isSaidBy(bytes, edge.fqdn)) };
    };
    const before = findEdge(node.store.value, name);
    if (before === undefined) return;
    if (news(before) !== before) {
      await this.#change(name, news);
      const after = findEdge(node.store.value, name);
      const shownBefore = shownPin(before.pins);
      if (
        after !== undefined &&
        (shownPin(after.pins) !== shownBefore || after.sealingKeyStatedAt !== before.sealingKeyStatedAt)
      )
        onChanged();
    }
    if (heard !== undefined) await keeper().holds(key, heard.holds);
    await keeper().accepted(key, own);
  }

  #followed(edge: SubscribedEdge, statements: readonly Buffer[]): SubscribedEdge {
    const { pins, certificate } = followStatements(edge.pins, edge.fqdn, statements);
    if (pins === edge.pins) return edge;
    return { ...edge, pins, ...(certificate === undefined ? {} : { nextCertificate: certificate }) };
  }

  #showed(edge: SubscribedEdge, shown: Pin, now: number): SubscribedEdge {
    const pins = sawPin(edge.pins, shown, now);
    if (pins === edge.pins) return edge;
    const { nextCertificate: certificate } = edge;
    return { ...edge, pins, ...(shown === pins.next && certificate !== undefined ? { certificate } : {}) };
  }

  /** The sealing key that the shown key states: what is sealed from now on is for it. */
  #sealing(edge: SubscribedEdge, heard: ToldIdentities | undefined, shown: Pin): SubscribedEdge {
    let latest = edge;
    for (const statement of heard?.statements ?? []) {
      try {
        const { claim, issuedAt } = verifyClaim(statement, shown, 'sealingKey', edge.fqdn);
        if (issuedAt > latest.sealingKeyStatedAt && !claim.publicKey.equals(Buffer.from(edge.sealingKey)))
          latest = { ...latest, sealingKey: claim.publicKey, sealingKeyStatedAt: issuedAt };
      } catch (error) {
        if (!isPosternError(error, 'statement.invalid')) throw error;
      }
    }
    return latest;
  }

  async #change(name: string, change: (edge: SubscribedEdge) => SubscribedEdge): Promise<void> {
    await this.#options.node.store.update((draft) => {
      const edge = findEdge(draft, name);
      return edge === undefined
        ? draft
        : { ...draft, edges: { ...draft.edges, [nameKey(name)]: change(edge) } };
    });
  }
}

/** Some node says it of itself; which pins lead to it is judged by whoever reads it. */
function isSaidBy(bytes: Buffer, fqdn: string): boolean {
  try {
    const { subject, claim } = verifyStatement(bytes, claimedIssuer(bytes));
    return subject === fqdn && (claim.kind === 'sealingKey' || claim.kind === 'nextCertificate');
  } catch (error) {
    if (isPosternError(error, 'statement.invalid')) return false;
    throw error;
  }
}

function same(a: SubscribedEdge, b: SubscribedEdge): boolean {
  return (
    a.pins === b.pins && a.certificate === b.certificate && a.sealingKeyStatedAt === b.sealingKeyStatedAt
  );
}
