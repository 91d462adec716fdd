/**
 * The hub's public file (`postern hub key`): what an edge needs to seal a subscription file to that hub. Text that can be mailed; the words in
 * front are for people, the block counts. Public, but its fingerprint should be compared by another way than the one it came.
 *
 *   HubPublic ::= SEQUENCE { version INTEGER (1), name UTF8String, fqdn UTF8String, certificate OCTET STRING (DER),
 *     sealingStatement OCTET STRING, signature OCTET STRING }
 *
 * The signature is the hub's over "postern hub public v1", a zero byte, and the DER of the SEQUENCE without its last element.
 */
import { BerReader } from '../asn1/reader.ts';
import { TAG } from '../asn1/tag.ts';
import { type BerWriter, encodeDer } from '../asn1/writer.ts';
import { isPosternError, PosternError } from '../base/error.ts';
import { type Identity, signAs } from '../certificate/identity.ts';
import { isHostName } from '../certificate/name.ts';
import { type Certificate, parseCertificate } from '../certificate/parse.ts';
import { pemOf } from '../certificate/pem.ts';
import { fingerprintLines, type Pin } from '../certificate/pin.ts';
import { verifyBytes } from '../certificate/signature.ts';
import { verifyClaim } from '../certificate/statement.ts';
import { isNodeName } from '../credential/account-name.ts';

export interface HubPublic {
  readonly name: string;
  /** Host name in lower case. */
  readonly fqdn: string;
  readonly certificate: Certificate;
  readonly pin: Pin;
  /** X25519, from the verified statement. */
  readonly sealingKey: Buffer;
}

const LABEL = 'POSTERN HUB';
const DOMAIN = 'postern hub public v1';
const VERSION = 1;
export const MOST_HUB_PUBLIC_BYTES = 64 * 1024;

interface HubPublicParts {
  readonly name: string;
  readonly fqdn: string;
  readonly certificate: Buffer;
  readonly sealingStatement: Buffer;
}

export function writeHubPublic(hub: {
  readonly name: string;
  readonly fqdn: string;
  readonly identity: Identity;
  readonly sealingStatement: Buffer;
}): string {
  const { identity } = hub;
  const parts = {
    name: hub.name,
    fqdn: hub.fqdn,
    certificate: identity.certificate.der,
    sealingStatement: hub.sealingStatement,
  };
  const signature = signAs(identity, DOMAIN, encodeParts(parts));
  const text = `${pemOf(LABEL, encodeParts(parts, signature))}`;
  readHubPublic(Buffer.from(text));
  const lines = [
    'Public key of a Postern hub, for "postern subscription create --seal-to".',
    `Hub: ${hub.name} (${hub.fqdn})`,
    'Fingerprint:',
  ];
  return `${[...lines, ...fingerprintLines(identity.pin).map((line) => `  ${line}`)].join('\n')}\n\n${text}`;
}

/** Throws `usage` with what is wrong; the hint says how to get a good one. */
export function readHubPublic(bytes: Uint8Array): HubPublic {
  if (bytes.length > MOST_HUB_PUBLIC_BYTES)
    throw unusable(`it is larger than ${MOST_HUB_PUBLIC_BYTES} bytes`);
  const blocks = [
    ...Buffer.from(bytes)
      .toString('latin1')
      .matchAll(/-----BEGIN POSTERN HUB-----\r?\n([A-Za-z0-9+/=\r\n]+)-----END POSTERN HUB-----/g),
  ];
  const block = blocks[0]?.[1];
  if (block === undefined) throw unusable('it holds no block "POSTERN HUB"');
  if (blocks.length > 1) throw unusable('it holds the keys of several hubs');
  try {
    return readBlock(Buffer.from(block, 'base64'));
  } catch (error) {
    if (isPosternError(error)) throw unusable('it is damaged, or was altered', error);
    throw error;
  }
}

function readBlock(der: Buffer): HubPublic {
  const reader = new BerReader(der, 0, der.length, { der: true });
  const outer = reader.enter(TAG.sequence);
  reader.integer(VERSION, VERSION);
  const parts = {
    name: reader.text(TAG.utf8String),
    fqdn: reader.text(TAG.utf8String),
    certificate: reader.octets(),
    sealingStatement: reader.octets(),
  };
  const signature = reader.octets();
  reader.leave(outer);
  reader.finish();
  if (!isNodeName(parts.name) || !isHostName(parts.fqdn)) reader.fail('not a name of a hub', 0);
  const certificate = parseCertificate(parts.certificate);
  if (!verifyBytes(certificate.publicKey, DOMAIN, encodeParts(parts), signature)) {
    throw new PosternError('statement.invalid', 'the signature does not fit');
  }
  const statement = verifyClaim(parts.sealingStatement, certificate.pin, 'sealingKey', parts.fqdn);
  return {
    name: parts.name,
    fqdn: parts.fqdn,
    certificate,
    pin: certificate.pin,
    sealingKey: statement.claim.publicKey,
  };
}

function encodeParts(parts: HubPublicParts, signature?: Uint8Array): Buffer {
  return encodeDer((writer: BerWriter) => {
    const outer = writer.open(TAG.sequence);
    writer.integer(VERSION);
    writer.utf8String(parts.name);
    writer.utf8String(parts.fqdn);
    writer.octets(parts.certificate);
    writer.octets(parts.sealingStatement);
    if (signature !== undefined) writer.octets(signature);
    writer.close(outer);
  });
}

function unusable(why: string, cause?: unknown): PosternError {
  return new PosternError('usage', `the hub's public file cannot be used: ${why}`, {
    hint: 'make it anew on the hub with "postern hub key > HUB.PUB"',
    ...(cause === undefined ? {} : { cause }),
  });
}
