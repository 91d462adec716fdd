/**
 * Whether a subscription file may be used now: its certificate, its signature, its names, its times. Pure: `now` is handed in, nothing is looked up.
 * Reports everything that is wrong; whoever imports refuses for the first reason.
 */
import { formatDuration } from '../base/duration.ts';
import { isPosternError, PosternError } from '../base/error.ts';
import { hostName, isHostName } from '../certificate/name.ts';
import { type Certificate, parseCertificate } from '../certificate/parse.ts';
import { formatFingerprint, type Pin, samePin } from '../certificate/pin.ts';
import { verifyBytes } from '../certificate/signature.ts';
import { verifyClaim } from '../certificate/statement.ts';
import { isNodeName, parseAccountName, sameName } from '../credential/account-name.ts';
import type { SubscriptionFile } from './file.ts';

export const SIGNATURE_DOMAIN = 'postern subscription file v1';
/** The newest format that this version reads. */
export const FORMAT = 1;
/** How far this machine's clock may be behind the edge's before a new file is refused. Half of what the accounts that follow tolerate. */
export const MOST_CLOCK_SKEW_MS = 5 * 60_000;
export const LONGEST_DURATION_MS = 366 * 86_400_000;

export interface ValidatedSubscription {
  readonly file: SubscriptionFile;
  readonly edgeName: string;
  /** Lower case, without a final dot. */
  readonly edgeFqdn: string;
  readonly certificate: Certificate;
  readonly pin: Pin;
  /** X25519 key from the verified statement; absent in another product's file. */
  readonly sealingKey: Buffer | undefined;
  readonly effectiveAt: number;
  readonly expiresAt: number;
  /** What does not hinder but should be known. */
  readonly warnings: readonly string[];
}

export interface SubscriptionChecks {
  /** Undefined when there is a problem. */
  readonly valid: ValidatedSubscription | undefined;
  readonly problems: readonly PosternError[];
  readonly certificate: Certificate | undefined;
}

/** Throws the first problem: `subscription.tampered`, `.expired`, `.not-yet-valid`, `.malformed`, `certificate.invalid`. */
export function validateSubscription(file: SubscriptionFile, now: number): ValidatedSubscription {
  const { valid, problems } = checkSubscription(file, now);
  if (valid === undefined)
    throw problems[0] ?? new PosternError('internal', 'a subscription file is neither good nor bad');
  return valid;
}

export function checkSubscription(file: SubscriptionFile, now: number): SubscriptionChecks {
  const problems: PosternError[] = [];
  const warnings: string[] = [];
  const certificate = certificateOf(file, problems);
  if (file.format !== undefined && file.format > FORMAT) {
    problems.push(
      new PosternError(
        'subscription.malformed',
        `the file has format ${file.format}; this version reads ${FORMAT}`,
        { hint: 'update Postern on this hub' },
      ),
    );
  } else if (certificate !== undefined) {
    checkSignature(file, certificate, problems);
  }
  checkNames(file, problems);
  const sealingKey = certificate === undefined ? undefined : sealingKeyOf(file, certificate, problems);
  checkTimes(file, now, problems, warnings);
  if (!file.signed)
    warnings.push(
      'the file is not signed: it comes from another product, and is tried by a bind before anything is written',
    );
  if (certificate !== undefined && certificate.notAfter < now) {
    warnings.push(
      `the edge's certificate expired ${formatDuration(now - certificate.notAfter)} ago; it is trusted by its fingerprint, so this does no harm`,
    );
  }
  if (problems.length > 0 || certificate === undefined) return { valid: undefined, problems, certificate };
  const valid: ValidatedSubscription = {
    file,
    edgeName: file.edgeName,
    edgeFqdn: hostName(file.edgeFqdn),
    certificate,
    pin: certificate.pin,
    sealingKey,
    effectiveAt: file.effectiveAt,
    expiresAt: file.effectiveAt + file.durationMs,
    warnings,
  };
  return { valid, problems, certificate };
}

/** Throws `pin.mismatch`, with both fingerprints, unless the file's certificate has the fingerprint that the administrator was told. */
export function expectFingerprint(subscription: Pick<ValidatedSubscription, 'pin'>, expected: Pin): void {
  if (samePin(subscription.pin, expected)) return;
  throw new PosternError('pin.mismatch', 'the file describes another edge than the expected one', {
    hint: 'compare the fingerprint with "postern subscription show" on the edge; if it is not the same, the file was exchanged on its way',
    fields: { expected: formatFingerprint(expected), found: formatFingerprint(subscription.pin) },
  });
}

function certificateOf(file: SubscriptionFile, problems: PosternError[]): Certificate | undefined {
  try {
    return parseCertificate(file.certificate);
  } catch (cause) {
    if (!isPosternError(cause)) throw cause;
    problems.push(
      new PosternError('certificate.invalid', `EdgeCertificateBlob: ${cause.message}`, {
        cause,
        hint: 'the file was altered, or the edge has a kind of key that is not supported; make a new file',
        fields: { element: 'EdgeCertificateBlob' },
      }),
    );
    return undefined;
  }
}

/** A file with any element of ours was signed when it was made. */
function checkSignature(file: SubscriptionFile, certificate: Certificate, problems: PosternError[]): void {
  const ours =
    file.format !== undefined || file.sealingStatement !== undefined || file.password.kind === 'sealed';
  if (file.signature === undefined) {
    if (ours) problems.push(tampered('its signature was taken out'));
  } else if (file.format === undefined) {
    problems.push(tampered('it is signed, but its format is missing'));
  } else if (
    !verifyBytes(certificate.publicKey, SIGNATURE_DOMAIN, file.signedBytes.reveal(), file.signature)
  ) {
    problems.push(tampered('its signature does not fit'));
  }
}

function sealingKeyOf(
  file: SubscriptionFile,
  certificate: Certificate,
  problems: PosternError[],
): Buffer | undefined {
  if (file.sealingStatement === undefined) return undefined;
  try {
    return verifyClaim(file.sealingStatement, certificate.pin, 'sealingKey', file.edgeFqdn).claim.publicKey;
  } catch (cause) {
    if (!isPosternError(cause)) throw cause;
    problems.push(tampered('its sealing statement was not made by the edge it names', cause));
    return undefined;
  }
}

function tampered(why: string, cause?: unknown): PosternError {
  return new PosternError('subscription.tampered', `the file was altered: ${why}`, {
    hint: 'do not use it; make a new file on the edge, carry it another way, and compare the fingerprint',
    ...(cause === undefined ? {} : { cause }),
  });
}

function checkNames(file: SubscriptionFile, problems: PosternError[]): void {
  const add = (element: string, message: string): void =>
    void problems.push(
      new PosternError('subscription.malformed', message, {
        hint: 'set the names in edge.toml and make a new file on the edge',
        fields: { element },
      }),
    );
  if (!isNodeName(file.edgeName)) add('EdgeServerName', 'EdgeServerName is not a short name');
  if (!isHostName(file.edgeFqdn.toLowerCase().replace(/\.$/, '')))
    add('EdgeServerFQDN', 'EdgeServerFQDN is not a host name');
  const account = parseAccountName(file.userName);
  if (account?.kind !== 'bootstrap' || !sameName(account.edge, file.edgeName))
    add('ESRAUsername', 'ESRAUsername is not "ESRA." and the name of the edge');
}

function checkTimes(file: SubscriptionFile, now: number, problems: PosternError[], warnings: string[]): void {
  const expiresAt = file.effectiveAt + file.durationMs;
  const clocks = `the edge's clock said ${iso(file.effectiveAt)} when it made the file, this machine's says ${iso(now)}`;
  if (file.durationMs > LONGEST_DURATION_MS) {
    problems.push(
      new PosternError('subscription.malformed', 'Duration is more than a year', {
        hint: 'make a new file on the edge',
        fields: { element: 'Duration' },
      }),
    );
  } else if (now >= expiresAt) {
    problems.push(
      new PosternError(
        'subscription.expired',
        `the file expired ${formatDuration(now - expiresAt)} ago: it was good until ${iso(expiresAt)}`,
        {
          hint: `make a new file on the edge with "postern subscription create"; if it was made just now, correct the clocks: ${clocks}`,
          fields: { expiredAt: iso(expiresAt), now: iso(now) },
        },
      ),
    );
  } else if (now < file.effectiveAt) {
    const behind = file.effectiveAt - now;
    const minutes = `${Math.max(1, Math.round(behind / 60_000))} min`;
    if (behind <= MOST_CLOCK_SKEW_MS) {
      warnings.push(
        `this machine's clock is at least ${formatDuration(behind)} behind the edge's: ${clocks}`,
      );
      return;
    }
    problems.push(
      new PosternError(
        'subscription.not-yet-valid',
        `the file becomes valid in ${minutes} only: the two clocks differ by ${minutes} or more`,
        {
          hint: `correct the clocks (${clocks}), then import the file again or make a new one`,
          fields: { effectiveAt: iso(file.effectiveAt), now: iso(now), minutes: Math.round(behind / 60_000) },
        },
      ),
    );
  }
}

function iso(ms: number): string {
  return Math.abs(ms) <= 8.64e15 ? new Date(ms).toISOString() : 'a time beyond all calendars';
}
