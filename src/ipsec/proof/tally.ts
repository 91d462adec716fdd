/**
 * Counts what a capture on this host shows: ESP, key exchange, and clear text that the policy protects. Pure. A capture sees what arrives before any
 * filter and what leaves after all of them, so whatever it shows in clear was on the wire.
 */
import { clearNetwork, guardDrops, type GuardScope } from '../guard/scope.ts';
import type { WirePacket } from './packet.ts';

export interface ClearFinding {
  readonly direction: 'in' | 'out';
  readonly peer: string;
  readonly protocol: number;
  /** The protected port; 0 where the protocol has none. */
  readonly port: number;
  packets: number;
  /** Milliseconds since 1970, of the first. */
  readonly firstAt: number;
}

export interface Tally {
  readonly packets: number;
  readonly esp: { readonly in: number; readonly out: number };
  readonly keyExchange: number;
  /** Clear text on protected ports between this host and its peers. */
  readonly clear: readonly ClearFinding[];
  /** What others tried in clear at this host's protected ports; the guard drops it. */
  readonly strangers: readonly ClearFinding[];
  /** Parts of datagrams whose ports nobody has seen. */
  readonly unknownFragments: number;
}

/** Datagrams in fragments that are remembered, the latest. */
const MOST_DATAGRAMS = 10_000;
/** Different findings that are told apart; the rest is counted with the last. */
const MOST_FINDINGS = 1000;

export class Tallying {
  readonly #scope: GuardScope;
  readonly #own: ReadonlySet<string>;
  readonly #peers: ReadonlySet<string>;
  readonly #firstParts = new Map<string, WirePacket>();
  readonly #waiting = new Map<string, number>();
  readonly #clear = new Map<string, ClearFinding>();
  readonly #strangers = new Map<string, ClearFinding>();
  #packets = 0;
  #espIn = 0;
  #espOut = 0;
  #keyExchange = 0;

  constructor(scope: GuardScope, own: readonly string[]) {
    this.#scope = scope;
    this.#own = new Set(own);
    this.#peers = new Set([...scope.everything, ...scope.towards.flatMap(({ peers }) => peers)]);
  }

  count(packet: WirePacket, at: number): void {
    this.#packets += 1;
    const outgoing = this.#own.has(packet.source);
    const peer = outgoing ? packet.destination : packet.source;
    const isPeer = this.#peers.has(peer);
    if (isPeer && this.#isEsp(packet)) {
      if (outgoing) this.#espOut += 1;
      else this.#espIn += 1;
      return;
    }
    const whole = this.#assemble(packet);
    if (whole === undefined) return;
    if (isPeer && this.#isEsp(whole)) return;
    this.#judge(whole, outgoing, peer, isPeer, at);
  }

  get result(): Tally {
    return {
      packets: this.#packets,
      esp: { in: this.#espIn, out: this.#espOut },
      keyExchange: this.#keyExchange,
      clear: [...this.#clear.values()],
      strangers: [...this.#strangers.values()],
      unknownFragments: [...this.#waiting.values()].reduce((sum, count) => sum + count, 0),
    };
  }

  #judge(packet: WirePacket, outgoing: boolean, peer: string, isPeer: boolean, at: number): void {
    const [ownPort, peerPort] = outgoing
      ? [packet.sourcePort ?? 0, packet.destinationPort ?? 0]
      : [packet.destinationPort ?? 0, packet.sourcePort ?? 0];
    if (packet.protocol === 17 && (ownPort === 500 || ownPort === 4500)) {
      this.#keyExchange += 1;
      return;
    }
    // Neighbour discovery and its like are not judged: "everything" leaves them alone.
    if (packet.protocol === 58 || packet.protocol === 112) return;
    const clear = {
      peer,
      protocol: packet.protocol,
      ownPort,
      peerPort,
      incoming: !outgoing,
      opens: packet.opens,
    };
    if (guardDrops(this.#scope, clear) === undefined || clearNetwork(this.#scope, peer) !== undefined) return;
    const port = this.#scope.service === 'peer' ? peerPort : ownPort;
    const direction = outgoing ? 'out' : 'in';
    // Nobody can keep a stranger from sending; what leaves is ours.
    const list = isPeer || outgoing ? this.#clear : this.#strangers;
    const key = `${direction} ${peer} ${packet.protocol} ${port}`;
    const known = list.get(key) ?? (list.size >= MOST_FINDINGS ? [...list.values()].at(-1) : undefined);
    if (known === undefined)
      list.set(key, { direction, peer, protocol: packet.protocol, port, packets: 1, firstAt: at });
    else known.packets += 1;
  }

  /** ESP, by itself or within UDP: RFC 3948 §2.1 and §2.2, key exchange there begins with four zero octets. */
  #isEsp(packet: WirePacket): boolean {
    if (packet.protocol === 50) return true;
    if (packet.protocol !== 17 || (packet.sourcePort !== 4500 && packet.destinationPort !== 4500))
      return false;
    return packet.payload.length >= 8 && packet.payload.readUInt32BE(0) !== 0;
  }

  /** A later fragment with the ports of its first one; undefined while they are not known. */
  #assemble(packet: WirePacket): WirePacket | undefined {
    const { fragment } = packet;
    if (fragment === undefined || (packet.protocol !== 6 && packet.protocol !== 17)) return packet;
    if (packet.isFirst) {
      if (this.#firstParts.size >= MOST_DATAGRAMS) {
        const [oldest] = this.#firstParts.keys();
        if (oldest !== undefined) this.#firstParts.delete(oldest);
      }
      this.#firstParts.set(fragment, packet);
      // They are judged by the first part, which stands for all of them.
      this.#waiting.delete(fragment);
      return packet;
    }
    const first = this.#firstParts.get(fragment);
    if (first !== undefined)
      return {
        ...packet,
        sourcePort: first.sourcePort,
        destinationPort: first.destinationPort,
        payload: first.payload,
      };
    if (this.#waiting.size < MOST_DATAGRAMS || this.#waiting.has(fragment))
      this.#waiting.set(fragment, (this.#waiting.get(fragment) ?? 0) + 1);
    return undefined;
  }
}
