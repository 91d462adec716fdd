/**
 * The subscription file (`EdgeSubscriptionData`): its elements, what it says once read, the bytes that its signature covers, and writing it.
 * docs/subscription-file.md is its specification. Owns the format; knows nothing of clocks, keys, stores or file systems.
 */
import { createHash } from 'node:crypto';
import { PosternError } from '../base/error.ts';
import type { Secret } from '../base/secret.ts';
import type { Pin } from '../certificate/pin.ts';
import type { PasswordPolicy } from '../credential/password.ts';

/** A file is refused above this size before it is parsed. Ours have about 3 KiB, with a large RSA certificate 6. */
export const MOST_FILE_BYTES = 64 * 1024;
export const ROOT_ELEMENT = 'EdgeSubscriptionData';
export const DEFAULT_PORT = 50636;

/** In the order in which they are written. Those of our own begin with "Postern": optional, unknown to other readers. */
export const ELEMENTS = [
  'EdgeServerName',
  'EdgeServerFQDN',
  'EdgeCertificateBlob',
  'ESRAUsername',
  'ESRAPassword',
  'EffectiveDate',
  'Duration',
  'AdamSslPort',
  'ProductID',
  'VersionNumber',
  'SerialNumber',
  'PosternFormat',
  'PosternSealingStatement',
  'PosternPasswordPolicy',
  'PosternSealedTo',
  'PosternSignature',
] as const;
export type Element = (typeof ELEMENTS)[number];

/** What a reader cannot do without. */
export const REQUIRED_ELEMENTS: readonly Element[] = ELEMENTS.slice(0, 8);
export const BASE64_ELEMENTS: ReadonlySet<Element> = new Set([
  'EdgeCertificateBlob',
  'PosternSealingStatement',
  'PosternSignature',
]);

/** Text of each element that is present, as compared and signed: see `canonicalText`. */
export type FileTexts = Readonly<Partial<Record<Element, string>>>;

export type FilePassword =
  | { readonly kind: 'clear'; readonly secret: Secret }
  /** Sealed to one hub (HPKE, `passwordContext` as associated data). */
  | { readonly kind: 'sealed'; readonly hub: string; readonly pin: Pin; readonly bytes: Buffer };

export interface SubscriptionFile {
  readonly edgeName: string;
  readonly edgeFqdn: string;
  /** DER; not yet looked into. */
  readonly certificate: Buffer;
  readonly userName: string;
  readonly password: FilePassword;
  /** Unix milliseconds. */
  readonly effectiveAt: number;
  readonly durationMs: number;
  readonly port: number;
  readonly productId: string;
  readonly versionNumber: string;
  readonly serialNumber: string;
  /** 1 in files of ours; absent in those of another product. */
  readonly format: number | undefined;
  readonly sealingStatement: Buffer | undefined;
  /** What passwords of accounts on that edge must be like. */
  readonly passwordPolicy: PasswordPolicy | undefined;
  readonly signature: Buffer | undefined;
  /** The file carries a signature. Says nothing of whether it is good: `validateSubscription` does. */
  readonly signed: boolean;
  /** What the signature covers; a secret, since the password is in it. */
  readonly signedBytes: Secret;
  /** SHA-256 (hex) of `signedBytes`: tells one file from another, to notice that it was imported before. */
  readonly id: string;
  /** Associated data of a sealed password: every element but the password and the signature. */
  readonly passwordContext: Buffer;
}

/**
 * One text per element, however a file was indented or its base64 wrapped: XML white space at both ends is dropped (not from ESRAPassword, where
 * it may mean something), and everywhere in base64.
 */
export function canonicalText(element: Element, text: string): string {
  if (element === 'ESRAPassword') return text;
  return BASE64_ELEMENTS.has(element) ? text.replace(/[ \t\r\n]+/g, '') : trimmed(text);
}

/** By hand: the regular expression for white space at the end takes quadratic time on text full of it. */
function trimmed(text: string): string {
  let [start, end] = [0, text.length];
  while (start < end && isBlank(text.charCodeAt(start))) start++;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

/** XML 1.0 §2.3, S. */
function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09 || code === 0x0d || code === 0x0a;
}

/** The bytes that PosternSignature covers: everything but itself. */
export function signedBytesOf(texts: FileTexts): Buffer {
  return canonicalBytes(texts, ['PosternSignature']);
}

export function passwordContextOf(texts: FileTexts): Buffer {
  return canonicalBytes(texts, ['ESRAPassword', 'PosternSignature']);
}

export function subscriptionId(signedBytes: Uint8Array): string {
  return createHash('sha256').update(signedBytes).digest('hex');
}

/** Name and text of each present element in the order of `ELEMENTS`; each string as UTF-8 behind its length (32 bits, big-endian). */
function canonicalBytes(texts: FileTexts, without: readonly Element[]): Buffer {
  const parts: Buffer[] = [];
  for (const element of ELEMENTS) {
    const text = texts[element];
    if (text !== undefined && !without.includes(element))
      parts.push(lengthPrefixed(element), lengthPrefixed(canonicalText(element, text)));
  }
  return Buffer.concat(parts);
}

function lengthPrefixed(text: string): Buffer {
  const bytes = Buffer.from(text, 'utf8');
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

/** The file's bytes: UTF-8, elements in order. Throws `usage` for a text that XML 1.0 cannot hold. */
export function writeSubscriptionXml(texts: FileTexts): Buffer {
  const lines = ELEMENTS.flatMap((element) => {
    const text = texts[element];
    return text === undefined ? [] : [`  <${element}>${escapeXml(text, element)}</${element}>`];
  });
  const xml = `<?xml version="1.0" encoding="utf-8"?>\n<${ROOT_ELEMENT}>\n${lines.join('\n')}\n</${ROOT_ELEMENT}>\n`;
  return Buffer.from(xml, 'utf8');
}

const ESCAPES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '\r': '&#13;' };

function escapeXml(text: string, element: Element): string {
  // XML 1.0 §2.2: no control characters but tab, line feed and carriage return, no surrogates of their own, no U+FFFE, U+FFFF.
  if (/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/.test(text) || !text.isWellFormed()) {
    throw new PosternError('usage', `${element} holds a character that XML cannot hold`);
  }
  return text.replace(/[&<>\r]/g, (character) => ESCAPES[character] ?? character);
}
