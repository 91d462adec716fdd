/**
 * A peer's file: what one side tells the other of itself, so that both sides' policies come from one description. JSON; the content is signed by the
 * node's identity, and the reader trusts it by that identity's pin alone, which he has from a subscription, from an earlier file, or by comparing
 * fingerprints. No secret is in it.
 *
 *   { "postern-ipsec-peer": 1, "content": { ... }, "key": SubjectPublicKeyInfo, "signature": over "postern ipsec peer v1", 0, the content as JSON }
 */
import { createPublicKey } from 'node:crypto';
import { z } from 'zod';
import { PosternError } from '../../base/error.ts';
import { type Identity, signAs } from '../../certificate/identity.ts';
import { parseCertificate } from '../../certificate/parse.ts';
import { certificatesFromPem } from '../../certificate/pem.ts';
import { formatFingerprint, type Pin, pinOfSpki, samePin } from '../../certificate/pin.ts';
import { verifyBytes } from '../../certificate/signature.ts';
import type { PeerDescription, Role } from '../policy/policy.ts';

const DOMAIN = 'postern ipsec peer v1';
export const MOST_PEER_FILE_BYTES = 512 * 1024;

const host = z
  .string()
  .max(253)
  .regex(
    /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)+$/,
    'a host name in lower case',
  );

const contentSchema = z.strictObject({
  /** Who speaks. */
  node: host,
  role: z.enum(['front-end', 'back-end']),
  /** Milliseconds since 1970, by the node's clock: of two files the later one counts. */
  issuedAt: z.int().min(0),
  singlePort: z.boolean(),
  /** First number of the version of its charon, when it was running. */
  charon: z.int().min(0).max(1000).optional(),
  parties: z
    .array(
      z.strictObject({
        id: host,
        addresses: z.array(z.string().max(64)).min(1).max(2),
        /** PEM. */
        certificate: z.string().max(32_768),
        protect: z.array(z.string().max(64)).max(1000),
      }),
    )
    .min(1)
    .max(101),
});
export type PeerContent = z.infer<typeof contentSchema>;

const base64 = z
  .string()
  .max(8192)
  .regex(/^[A-Za-z0-9+/]+={0,2}$/);
const fileSchema = z.strictObject({
  'postern-ipsec-peer': z.literal(1),
  content: z.unknown(),
  key: base64,
  signature: base64,
});

export interface PeerFile {
  readonly content: PeerContent;
  /** Whoever holds this key has signed it. */
  readonly pin: Pin;
}

export function writePeerFile(identity: Identity, content: PeerContent): string {
  const plain = contentSchema.parse(content);
  const document = {
    'postern-ipsec-peer': 1,
    content: plain,
    key: identity.certificate.spki.toString('base64'),
    signature: signAs(identity, DOMAIN, Buffer.from(JSON.stringify(plain))).toString('base64'),
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}

/** Proves the signature; whether its key is to be trusted is `requireTrusted`'s. Throws `ipsec.peer`. */
export function readPeerFile(bytes: Uint8Array, source: string): PeerFile {
  if (bytes.length > MOST_PEER_FILE_BYTES)
    throw invalid(source, `is larger than ${MOST_PEER_FILE_BYTES} bytes`);
  const file = parse(bytes, source);
  const spki = Buffer.from(file.key, 'base64');
  const signed = Buffer.from(JSON.stringify(file.content));
  if (!isSigned(spki, signed, Buffer.from(file.signature, 'base64')))
    throw invalid(source, 'was altered after it was made: its signature does not fit');
  const content = contentSchema.safeParse(file.content);
  if (!content.success) {
    const [issue] = content.error.issues;
    throw invalid(source, `is not understood: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`);
  }
  return { content: content.data, pin: pinOfSpki(spki) };
}

function parse(bytes: Uint8Array, source: string): z.infer<typeof fileSchema> {
  try {
    return fileSchema.parse(JSON.parse(Buffer.from(bytes).toString('utf8')));
  } catch {
    throw invalid(source, 'is no file of "postern ipsec peer export"');
  }
}

function isSigned(spki: Buffer, signed: Buffer, signature: Buffer): boolean {
  try {
    return verifyBytes(
      createPublicKey({ key: spki, format: 'der', type: 'spki' }),
      DOMAIN,
      signed,
      signature,
    );
  } catch {
    return false;
  }
}

/** Throws `ipsec.peer` unless the file was signed by one of the pins. `known`: how they are known, for the message. */
export function requireTrusted({ content, pin }: PeerFile, trusted: readonly Pin[]): void {
  if (trusted.some((one) => samePin(one, pin))) return;
  throw new PosternError('ipsec.peer', `nobody vouches for the key that signed the file of ${content.node}`, {
    hint: `compare this fingerprint with the one that "postern ipsec peer export" showed there, and import with --expect-fingerprint '${formatFingerprint(pin)}'`,
    fields: { node: content.node, fingerprint: formatFingerprint(pin) },
  });
}

/** The file as peers of a policy. Throws `certificate.invalid`. */
export function peersOf({ content }: PeerFile, source: string): PeerDescription[] {
  return content.parties.map((party) => ({
    source,
    id: party.id,
    addresses: party.addresses,
    certificates: certificatesFromPem(Buffer.from(party.certificate)).map(parseCertificate),
    protect: party.protect,
    singlePort: content.singlePort,
    ...(content.charon === undefined ? {} : { charon: content.charon }),
  }));
}

export function otherRole(role: Role): Role {
  return role === 'front-end' ? 'back-end' : 'front-end';
}

function invalid(source: string, what: string): PosternError {
  return new PosternError('ipsec.peer', `${source} ${what}`, {
    hint: 'make it anew on the other side with "postern ipsec peer export FILE"',
  });
}
