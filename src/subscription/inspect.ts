/** What a subscription file says, for people and for `--json`: everything but the secret. Pure; needs neither daemon nor network. */
import { formatAge, formatDuration } from '../base/duration.ts';
import type { ErrorCode } from '../base/error.ts';
import { formatFingerprint } from '../certificate/pin.ts';
import type { SubscriptionFile } from './file.ts';
import { checkSubscription } from './validate.ts';

export interface SubscriptionView {
  readonly edge: string;
  readonly fqdn: string;
  readonly port: number;
  readonly account: string;
  /** SHA-256 of the edge's public key, in groups for reading aloud; empty when the certificate cannot be read. */
  readonly fingerprint: string;
  /** Unix milliseconds. */
  readonly effectiveAt: number;
  readonly expiresAt: number;
  readonly password: 'in clear text' | 'sealed';
  /** The hub that a sealed file is for. */
  readonly sealedTo: string | undefined;
  readonly sealedToFingerprint: string | undefined;
  readonly signature: 'good' | 'bad' | 'none';
  readonly format: number | undefined;
  readonly serialNumber: string;
  readonly versionNumber: string;
  readonly productId: string;
  readonly certificate:
    | {
        readonly names: readonly string[];
        readonly notBefore: number;
        readonly notAfter: number;
        readonly algorithm: string;
      }
    | undefined;
  /** Could be imported now, by this machine's clock. */
  readonly usable: boolean;
  readonly problems: readonly {
    readonly code: ErrorCode;
    readonly text: string;
    readonly hint: string | undefined;
  }[];
  readonly warnings: readonly string[];
  readonly id: string;
}

export function viewSubscription(file: SubscriptionFile, now: number): SubscriptionView {
  const { valid, problems, certificate } = checkSubscription(file, now);
  const bad = problems.some((problem) => problem.code === 'subscription.tampered');
  return {
    edge: file.edgeName,
    fqdn: file.edgeFqdn,
    port: file.port,
    account: file.userName,
    fingerprint: certificate === undefined ? '' : formatFingerprint(certificate.pin),
    effectiveAt: file.effectiveAt,
    expiresAt: file.effectiveAt + file.durationMs,
    password: file.password.kind === 'sealed' ? 'sealed' : 'in clear text',
    sealedTo: file.password.kind === 'sealed' ? file.password.hub : undefined,
    sealedToFingerprint: file.password.kind === 'sealed' ? formatFingerprint(file.password.pin) : undefined,
    signature: bad || (file.signed && certificate === undefined) ? 'bad' : file.signed ? 'good' : 'none',
    format: file.format,
    serialNumber: file.serialNumber,
    versionNumber: file.versionNumber,
    productId: file.productId,
    certificate:
      certificate === undefined
        ? undefined
        : {
            names: certificate.names,
            notBefore: certificate.notBefore,
            notAfter: certificate.notAfter,
            algorithm: [
              certificate.publicKey.asymmetricKeyType,
              certificate.publicKey.asymmetricKeyDetails?.namedCurve ??
                certificate.publicKey.asymmetricKeyDetails?.modulusLength,
            ]
              .filter((part) => part !== undefined)
              .join(' '),
          },
    usable: valid !== undefined,
    problems: problems.map((problem) => ({ code: problem.code, text: problem.message, hint: problem.hint })),
    warnings: valid?.warnings ?? [],
    id: file.id,
  };
}

/** "valid for another 23 h 59 min", "expired 3 d ago", "valid from in 2 h": seen from `now`. */
export function validityInWords(
  view: Pick<SubscriptionView, 'effectiveAt' | 'expiresAt'>,
  now: number,
): string {
  if (now >= view.expiresAt) return `expired ${formatAge(view.expiresAt, now)}`;
  if (now < view.effectiveAt)
    return `not valid yet: becomes valid ${formatAge(view.effectiveAt, now)}, for ${formatDuration(view.expiresAt - view.effectiveAt)}`;
  return `valid for another ${formatDuration(view.expiresAt - now)}`;
}

/** Label and text of each line; a text may have several lines. */
export function describeSubscription(view: SubscriptionView, now: number): [string, string][] {
  const optional = (label: string, text: string | undefined): [string, string][] =>
    text === undefined || text === '' ? [] : [[label, text]];
  return [
    ['edge', printable(view.edge)],
    ['address', `${printable(view.fqdn)}, port ${view.port}`],
    [
      'fingerprint',
      view.fingerprint === '' ? 'none: the certificate cannot be read' : groupedLines(view.fingerprint),
    ],
    ['validity', `${validityInWords(view, now)} (${iso(view.effectiveAt)} to ${iso(view.expiresAt)})`],
    ['account', printable(view.account)],
    [
      'password',
      view.sealedTo === undefined
        ? 'in clear text: whoever has the file can use it; delete every copy after the import'
        : `sealed to hub ${printable(view.sealedTo)}: no other can use the file`,
    ],
    ...optional(
      'sealed to',
      view.sealedToFingerprint === undefined ? undefined : groupedLines(view.sealedToFingerprint),
    ),
    [
      'signature',
      {
        good: 'good: made by the key with this fingerprint',
        bad: 'BAD: the file was altered',
        none: 'none: the file comes from another product',
      }[view.signature],
    ],
    ...optional(
      'certificate',
      view.certificate === undefined
        ? undefined
        : `${view.certificate.algorithm}, ${view.certificate.names.map(printable).join(', ') || 'no names'}, until ${iso(view.certificate.notAfter)}`,
    ),
    ...optional('made by', printable(view.serialNumber)),
    ...optional('product id', printable(view.productId)),
    ...view.problems.map((problem): [string, string] => [
      'problem',
      problem.hint === undefined ? problem.text : `${problem.text}\n${problem.hint}`,
    ]),
    ...view.warnings.map((warning): [string, string] => ['note', warning]),
  ];
}

function groupedLines(fingerprint: string): string {
  return (fingerprint.match(/(?:[0-9a-f]{4} ?){4}/g) ?? []).map((line) => line.trim()).join('\n');
}

/** A file comes from outside: nothing in it may steer a terminal. */
function printable(text: string): string {
  return text
    .replace(
      /[^\x20-\x7e\u00a1-\u1fff\u2010-\u2027\u2030-\u205f\u2070-\ud7ff\uf900-\ufdcf\ufdf0-\ufefe\uff01-\uffee]/g,
      '?',
    )
    .slice(0, 300);
}

function iso(ms: number): string {
  return Math.abs(ms) <= 8.64e15 ? new Date(ms).toISOString() : 'a time beyond all calendars';
}
