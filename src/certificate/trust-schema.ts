/** Pieces for schemas of trust documents: binary values and secrets, base64 in the file only. */
import { z } from 'zod';
import { Secret } from '../base/secret.ts';

const base64 = z
  .string()
  .regex(/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/, 'not base64');

/** Base64 in the file, a Buffer in memory. */
export const bytesField = z.codec(base64, z.instanceof(Uint8Array), {
  decode: (text) => Buffer.from(text, 'base64'),
  encode: (bytes) => Buffer.from(bytes).toString('base64'),
}) as unknown as z.ZodType<Buffer, string>;

/** Base64 in the file, a Secret in memory. */
export const secretField = z.codec(base64, z.instanceof(Secret), {
  decode: (text) => new Secret(Buffer.from(text, 'base64')),
  encode: (secret) => secret.reveal().toString('base64'),
}) as unknown as z.ZodType<Secret, string>;

/** A sealing key pair (`SealingKeyPair`). */
export const sealingKeyPairField = z.strictObject({ publicKey: bytesField, privateKey: secretField });
