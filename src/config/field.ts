/** Building blocks of the configuration schemas: durations, names, addresses to listen on. */
import { z } from 'zod';
import { parseDuration } from '../base/duration.ts';

/** A duration text ("6min"), kept as milliseconds. */
export function duration(defaultText: string) {
  return z
    .string()
    .default(defaultText)
    .transform((text, context) => {
      try {
        return parseDuration(text);
      } catch {
        context.addIssue({
          code: 'custom',
          message: `"${text.slice(0, 40)}" is not a duration (write 90s, 6min, 24h, 30d)`,
        });
        return z.NEVER;
      }
    });
}

/** Short server name, as it appears in account names and DNs. */
export const serverName = z
  .string()
  .regex(
    /^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/,
    'a server name has letters, digits and hyphens, at most 63',
  );

export const fqdn = z
  .string()
  .max(253)
  .regex(
    /^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)+\.?$/,
    'a fully qualified host name, for example edge1.example.org',
  )
  .transform((name) => name.replace(/\.$/, '').toLowerCase());

export type ListenAddress =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string; readonly mode: number };

/** "host:port", "[v6]:port", "unix:/path" or "unix:/path?mode=0666"; undefined when it is none of these. */
export function parseListenAddress(text: string, defaultMode = 0o660): ListenAddress | undefined {
  const unix = /^unix:(\/[^?\0]{1,100})(?:\?mode=(0?[0-7]{3}))?$/.exec(text);
  if (unix?.[1] !== undefined)
    return {
      kind: 'unix',
      path: unix[1],
      mode: unix[2] === undefined ? defaultMode : Number.parseInt(unix[2], 8),
    };
  const tcp = /^(?:\[([0-9A-Fa-f:.]+)\]|([^\s:[\]/]+)):(\d{1,5})$/.exec(text);
  const port = Number(tcp?.[3]);
  if (tcp === null || port > 65_535) return undefined;
  return { kind: 'tcp', host: tcp[1] ?? tcp[2] ?? '', port };
}

export function isLoopback(address: ListenAddress): boolean {
  return address.kind === 'unix' || /^(127\.|::1$|localhost$)/.test(address.host);
}

export const listenAddress = z.string().transform((text, context) => {
  const address = parseListenAddress(text);
  if (address !== undefined) return address;
  context.addIssue({
    code: 'custom',
    message: `"${text.slice(0, 60)}" is no address (write host:port, [v6]:port or unix:/path)`,
  });
  return z.NEVER;
});

/** An address that must not be reachable from outside this machine. */
export const localAddress = listenAddress.refine(isLoopback, {
  message:
    'this listener answers without a password, so it must be on loopback (127.0.0.1, [::1]) or a unix socket',
});

export const logTable = z.strictObject({
  level: z.enum(['debug', 'info', 'warn', 'error']).default('info'),
  format: z.enum(['text', 'json']).default('text'),
});

/** Somebody else's certificate in place of the self-signed one. */
export const certificateTable = z.strictObject({ certificate_file: z.string(), key_file: z.string() });

/** When a certificate of our own making is followed by the next one, and how long both count. */
export const rolloverTable = z
  .strictObject({
    /** How long a certificate is good. Peers go by its key: an end is for those who look at it. */
    validity: duration('3650d'),
    /** So long before its end the next one is made. */
    renew_before: duration('30d'),
    /** Longest wait for peers; and how long a former key is kept and counts. A backup that is older than that brings a key that nobody knows any more. */
    overlap: duration('14d'),
  })
  .superRefine(({ validity, renew_before, overlap }, context) => {
    const wrong = (path: string, message: string): void =>
      context.addIssue({ code: 'custom', path: [path], message });
    if (validity < HOUR_MS || validity > LONGEST_VALIDITY_MS) wrong('validity', 'from 1h to 36500d');
    if (renew_before >= validity) wrong('renew_before', 'has to be shorter than validity');
    if (2 * overlap > validity)
      wrong('overlap', 'has to be at most half of validity: it comes before and after a switch');
  });
const HOUR_MS = 3_600_000;
const LONGEST_VALIDITY_MS = 36_500 * 24 * HOUR_MS;
export type RolloverTable = z.infer<typeof rolloverTable>;
