/** A node's certificates as the command line shows them, and what the status warns of. Pure but for what the keeper is asked. */
import type { CertificateDocument, OwnCertificate, PeerCertificate } from '../admin/certificate-documents.ts';
import type { Warning } from '../admin/documents.ts';
import { formatAge, formatDuration } from '../base/duration.ts';
import { isPosternError } from '../base/error.ts';
import type { Identity } from '../certificate/identity.ts';
import { parseCertificate } from '../certificate/parse.ts';
import { type PeerPins, pinsOf, shownPin } from '../certificate/peer-pins.ts';
import { formatFingerprint } from '../certificate/pin.ts';
import type { RolloverTimings } from '../certificate/rollover/rollover.ts';
import type { Node } from '../subscription/node.ts';
import type { RolloverKeeper } from '../subscription/rollover-keeper.ts';
import type { NodeTrust } from '../subscription/trust-state.ts';

export interface CertificateFacts<T extends NodeTrust> {
  readonly role: 'edge' | 'hub';
  readonly name: string;
  readonly node: Node<T>;
  readonly keeper: RolloverKeeper<T>;
  readonly timings: RolloverTimings;
  readonly configured: boolean;
  readonly peers: readonly PeerCertificate[];
  readonly unproved?: CertificateDocument['unproved'];
  readonly now: number;
}

export function certificateDocument<T extends NodeTrust>(facts: CertificateFacts<T>): CertificateDocument {
  const { role, name, node, keeper, timings, configured, peers, now } = facts;
  const { identity, rollover, nextIdentity } = node.store.value;
  const { current, next, former } = node.identities;
  const origin = (brought: boolean | undefined): OwnCertificate['origin'] =>
    brought !== true ? 'own' : configured ? 'configured' : 'brought';
  const { phase, since } = rollover;
  return {
    version: 1,
    role,
    name,
    now,
    certificates: [
      ownCertificate('present', current, origin(identity.brought)),
      ...(next === undefined ? [] : [ownCertificate('next', next, origin(nextIdentity?.brought))]),
      ...(former === undefined
        ? []
        : [ownCertificate('former', former, origin(node.store.value.formerIdentity?.brought))]),
    ],
    phase,
    since,
    until: phase === 'steady' || since === undefined ? undefined : since + timings.overlapMs,
    waitingFor: keeper.waitingFor,
    renewsAt:
      identity.brought === true || configured || phase !== 'steady'
        ? undefined
        : current.certificate.notAfter - timings.renewBeforeMs,
    renewBeforeMs: timings.renewBeforeMs,
    unusable: keeper.unusable,
    peers,
    unproved: facts.unproved ?? [],
  };
}

function ownCertificate(
  use: OwnCertificate['use'],
  { certificate, pin, algorithm }: Identity,
  origin: OwnCertificate['origin'],
): OwnCertificate {
  const { names, notBefore, notAfter } = certificate;
  return { use, fingerprint: formatFingerprint(pin), names, algorithm, notBefore, notAfter, origin };
}

export function peerCertificate(
  role: 'edge' | 'hub',
  {
    name,
    pins,
    certificate,
  }: { readonly name: string; readonly pins: PeerPins; readonly certificate: Uint8Array },
): PeerCertificate {
  const shown = shownPin(pins);
  const [other] = pinsOf(pins).filter((pin) => pin !== shown && pin === pins.next);
  return {
    name,
    role,
    fingerprint: formatFingerprint(shown),
    ...(other === undefined ? {} : { next: formatFingerprint(other) }),
    notAfter: notAfterOf(certificate),
  };
}

function notAfterOf(certificate: Uint8Array): number | undefined {
  try {
    return parseCertificate(certificate).notAfter;
  } catch (error) {
    if (isPosternError(error)) return undefined;
    throw error;
  }
}

/** A rollover that waits for a day is worth a word: peers are asked every few minutes. */
const WAITS_MS = 86_400_000;

/** What is wrong with the node's own certificates and those of its peers, and what mends it. */
export function certificateWarnings(document: CertificateDocument): Warning[] {
  const { role, now, certificates, phase, since, until, waitingFor, renewBeforeMs, unusable } = document;
  const warnings: Warning[] = [];
  const [present] = certificates;
  const unattended = present?.origin === 'own';
  const mend =
    present?.origin === 'configured'
      ? 'put a new certificate and its key into the files that [identity] names, then: postern cert renew'
      : present?.origin === 'brought'
        ? 'postern cert use CERTIFICATE --key KEY, or for one of our own making: postern cert renew'
        : 'postern cert renew';
  if (present !== undefined && now >= present.notAfter)
    warnings.push({
      code: 'certificate.expired',
      severity: 'warning',
      text: `the certificate of this ${role} expired ${formatAge(present.notAfter, now)}; peers trust its key, so all goes on`,
      mend,
    });
  // One of our own is followed by itself: only when that has not happened for half the time there is something to say.
  else if (
    present !== undefined &&
    now >= present.notAfter - (unattended ? renewBeforeMs / 2 : renewBeforeMs)
  )
    warnings.push({
      code: 'certificate.expiring',
      severity: 'warning',
      text: `the certificate of this ${role} ends ${formatAge(present.notAfter, now)}`,
      mend,
    });
  if (unusable !== undefined)
    warnings.push({
      code: 'certificate.unusable',
      severity: 'warning',
      text: `the certificate that [identity] names is not used, the present one goes on: ${unusable}`,
      mend: 'mend the files, then: postern cert renew',
    });
  if (phase !== 'steady' && waitingFor.length > 0 && since !== undefined && now - since >= WAITS_MS)
    warnings.push({
      code: 'certificate.rollover-waiting',
      severity: 'warning',
      text: `the new certificate of this ${role} waits for ${waitingFor.join(', ')} (for ${formatDuration(now - since)}${until === undefined ? '' : `; it goes on without them ${formatAge(until, now)}`})`,
      mend: `is ${waitingFor[0] ?? ''} running, and can the hub reach the edge? One that is gone for good: postern ${role === 'edge' ? 'hub remove, on a hub' : 'subscription remove'}`,
    });
  for (const { role: kind, name, fingerprint } of document.unproved)
    warnings.push({
      code: 'certificate.unproved',
      severity: 'warning',
      text: `the object of ${kind} ${name} in the configuration directory shows a key that ${name} has not announced (${fingerprint}): it is not used`,
      mend: `find out who wrote it; was ${name} set up anew, remove it and let it in again`,
    });
  for (const peer of document.peers)
    if (peer.notAfter !== undefined && now >= peer.notAfter)
      warnings.push({
        code: 'certificate.expired',
        severity: 'warning',
        text: `the certificate of ${peer.role} ${peer.name} expired ${formatAge(peer.notAfter, now)}; its key is trusted, so all goes on`,
        mend: `on ${peer.name}: postern cert renew`,
      });
  return warnings;
}
