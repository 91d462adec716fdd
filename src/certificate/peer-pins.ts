/**
 * A peer's side of a rollover: which pins of another node count, and since when. Pure. A node has two pins from the moment that its statement was
 * verified until the new key has been in use for as long as an overlap: so a node that was restored from a backup of yesterday is still known.
 */
import { z } from 'zod';
import { succession } from './chain.ts';
import { type Pin, type PinSet, pinSchema, samePin } from './pin.ts';

const time = z.int().min(0);

export const peerPinsSchema = z.strictObject({
  current: pinSchema,
  next: pinSchema.optional(),
  /** When the statement of `next` was issued, by the node's own clock: none that is older counts. */
  statedAt: time.optional(),
  /** Since when the node shows `next`, by our clock. */
  seenAt: time.optional(),
  /** The pin before `current`: counts no more. */
  former: pinSchema.optional(),
});
export interface PeerPins extends PinSet {
  readonly statedAt?: number | undefined;
  readonly seenAt?: number | undefined;
  readonly former?: Pin | undefined;
}

export interface Followed {
  /** The same object when nothing is new. */
  readonly pins: PeerPins;
  /** Certificate of `pins.next`, DER, when it is new. */
  readonly certificate?: Buffer;
}

/**
 * What the node's own word makes of its pins: statements of successors about `subject` (its host name), from its current pin on. The last but
 * one of the chain becomes the current pin. Of two successors the one stated later counts; nobody else's word does.
 */
export function followStatements(
  pins: PeerPins,
  subject: string,
  statements: readonly Uint8Array[],
): Followed {
  const chain = chainFrom(pins, subject, statements);
  const last = chain.at(-1);
  if (last === undefined) return { pins };
  const { next, statedAt = -1 } = pins;
  if (chain.length === 1 && next !== undefined && (samePin(next, last.pin) || last.issuedAt <= statedAt))
    return { pins };
  const current = chain.at(-2)?.pin;
  const former = current === undefined ? pins.former : (chain.at(-3)?.pin ?? pins.current);
  return {
    pins: {
      current: current ?? pins.current,
      next: last.pin,
      statedAt: last.issuedAt,
      ...(former === undefined ? {} : { former }),
    },
    ...(last.certificate === undefined ? {} : { certificate: last.certificate }),
  };
}

type Chain = readonly { readonly pin: Pin; readonly certificate?: Buffer; readonly issuedAt: number }[];

/** Also from the next pin on, when the statement that led to it is not told any more. */
function chainFrom(
  { current, next, statedAt = 0 }: PeerPins,
  subject: string,
  statements: readonly Uint8Array[],
): Chain {
  const chain = succession(current, statements, subject);
  if (chain.length > 0 || next === undefined) return chain;
  const beyond = succession(next, statements, subject);
  return beyond.length === 0 ? [] : [{ pin: next, issuedAt: statedAt }, ...beyond];
}

/** The node has proved that it holds `shown`. */
export function sawPin(pins: PeerPins, shown: Pin, now: number): PeerPins {
  if (pins.next === undefined) return pins;
  if (samePin(pins.next, shown)) return pins.seenAt === undefined ? { ...pins, seenAt: now } : pins;
  // It shows the former one again, from a backup: what it did with the new one is forgotten.
  return pins.seenAt === undefined || !samePin(pins.current, shown) ? pins : { ...pins, seenAt: undefined };
}

/** After the overlap the former pin does not count any more. */
export function settlePins(pins: PeerPins, now: number, overlapMs: number): PeerPins {
  if (pins.next === undefined || pins.seenAt === undefined) return pins;
  if (pins.seenAt > now) return { ...pins, seenAt: now };
  return now - pins.seenAt < overlapMs ? pins : { current: pins.next, former: pins.current };
}

/** The pins that count now. */
export function pinsOf(pins: PinSet): Pin[] {
  return pins.next === undefined ? [pins.current] : [pins.current, pins.next];
}

/** The pin that the node shows, as far as is known. */
export function shownPin(pins: PeerPins): Pin {
  return pins.next !== undefined && pins.seenAt !== undefined ? pins.next : pins.current;
}
