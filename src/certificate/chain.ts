/**
 * What follows from many statements: which hubs are admitted, and which key succeeded which. Pure: statements come from a directory that anybody
 * may have written to, so everything that doesn't verify is passed over, and the work is bounded.
 */
import { isPosternError } from '../base/error.ts';
import { type Pin, samePin } from './pin.ts';
import { claimedIssuer, type Statement, verifyStatement } from './statement.ts';

/** More statements than this are not looked at: the newest a directory offers must be given first. */
export const MOST_STATEMENTS = 4096;
const MOST_HOPS = 64;

export interface Member {
  readonly name: string;
  readonly pin: Pin;
}

export interface Endorsement extends Member {
  readonly role: 'hub' | 'edge';
  readonly endorsedBy: Pin;
  readonly issuedAt: number;
}

/** Unix milliseconds of the latest removal of each pin. */
export type Removals = ReadonlyMap<Pin, number>;

/** What the roots have taken back, besides `known` removals of earlier times, whose statements may be gone. */
export function removalsBy(
  roots: readonly Pin[],
  statements: readonly Uint8Array[],
  known: Iterable<readonly [Pin, number]> = [],
): Removals {
  const byIssuer = groupByIssuer(statements);
  const removals = new Map(known);
  for (const root of new Set(roots))
    for (const { claim, issuedAt } of verified(byIssuer.get(root), root))
      if (claim.kind === 'removal' && issuedAt > (removals.get(claim.pin) ?? -1))
        removals.set(claim.pin, issuedAt);
  return removals;
}

/**
 * Everybody who is endorsed by a root (a hub that is trusted already) or by a hub that a root endorsed, and so on. Only hubs endorse, and what
 * was said of somebody before he was removed does not count. One endorsement is reported for each pin and role.
 */
export function endorsedMembers(
  roots: readonly Pin[],
  statements: readonly Uint8Array[],
  removals: Removals = new Map(),
): Endorsement[] {
  const byIssuer = groupByIssuer(statements);
  const members = new Map<string, Endorsement>();
  const asked = new Set<Pin>();
  const ask = [...roots];
  for (let issuer = ask.pop(); issuer !== undefined; issuer = ask.pop()) {
    if (asked.has(issuer)) continue;
    asked.add(issuer);
    for (const { claim, subject, issuedAt } of verified(byIssuer.get(issuer), issuer)) {
      if (claim.kind !== 'membership' || issuedAt <= (removals.get(claim.pin) ?? -1)) continue;
      const key = `${claim.role} ${claim.pin}`;
      if (!members.has(key))
        members.set(key, { name: subject, pin: claim.pin, role: claim.role, endorsedBy: issuer, issuedAt });
      if (claim.role === 'hub') ask.push(claim.pin);
    }
  }
  return [...members.values()];
}

/**
 * Follows "my next certificate is ..." from a trusted pin: the certificates that came after it, in order; empty when there is none. A retired key's
 * statement counts, so a node that was away finds the present key. Of several successors of one key the latest stated counts; with `subject`, only
 * statements about that name do.
 */
export function succession(
  start: Pin,
  statements: readonly Uint8Array[],
  subject?: string,
): { pin: Pin; certificate: Buffer; issuedAt: number }[] {
  const byIssuer = groupByIssuer(statements);
  const chain: { pin: Pin; certificate: Buffer; issuedAt: number }[] = [];
  const seen = [start];
  for (let issuer = start; chain.length < MOST_HOPS; ) {
    let latest: { pin: Pin; certificate: Buffer; issuedAt: number } | undefined;
    for (const { claim, issuedAt, subject: about } of verified(byIssuer.get(issuer), issuer)) {
      if (subject !== undefined && about !== subject) continue;
      if (claim.kind !== 'nextCertificate' || (latest !== undefined && issuedAt <= latest.issuedAt)) continue;
      latest = { pin: claim.pin, certificate: claim.certificate, issuedAt };
    }
    const next = latest;
    if (next === undefined || seen.some((pin) => samePin(pin, next.pin))) break;
    chain.push(next);
    seen.push(next.pin);
    issuer = next.pin;
  }
  return chain;
}

function groupByIssuer(statements: readonly Uint8Array[]): Map<Pin, Uint8Array[]> {
  const groups = new Map<Pin, Uint8Array[]>();
  for (const bytes of statements.slice(0, MOST_STATEMENTS)) {
    const issuer = unlessInvalid(() => claimedIssuer(bytes));
    if (issuer === undefined) continue;
    const group = groups.get(issuer);
    if (group === undefined) groups.set(issuer, [bytes]);
    else group.push(bytes);
  }
  return groups;
}

function verified(group: readonly Uint8Array[] | undefined, issuer: Pin): Statement[] {
  return (group ?? []).flatMap((bytes) => unlessInvalid(() => verifyStatement(bytes, issuer)) ?? []);
}

function unlessInvalid<R>(run: () => R): R | undefined {
  try {
    return run();
  } catch (error) {
    if (isPosternError(error, 'statement.invalid')) return undefined;
    throw error;
  }
}
