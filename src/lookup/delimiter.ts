/** Address extensions ("anna+news" is anna's). Owns where a local part is cut; the same cut as Postfix makes. */

/** Postfix never cuts these, whatever the delimiters are. */
const NEVER_CUT = new Set(['postmaster', 'mailer-daemon', 'double-bounce']);

/**
 * The local part without its extension: up to the first character that is one of `delimiters`. `undefined` when there is
 * none, or nothing would be left. With "-" among the delimiters, owner-list and list-request are names of their own.
 * `local` is folded and unquoted (`Address.local`).
 */
export function withoutExtension(local: string, delimiters: string): string | undefined {
  if (delimiters.length === 0 || NEVER_CUT.has(local)) return undefined;
  if (
    delimiters.includes('-') &&
    (local.startsWith('owner-') || (local.length > 8 && local.endsWith('-request')))
  ) {
    return undefined;
  }
  for (let i = 0; i < local.length; i++) {
    if (delimiters.includes(local[i]!)) return i === 0 ? undefined : local.slice(0, i);
  }
  return undefined;
}
