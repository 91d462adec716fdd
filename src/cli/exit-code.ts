/** Exit codes of every command; documented in `docs/commands.md` and in each help. */
import type { ErrorCode } from '../base/error.ts';

export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  degraded: 3,
  critical: 4,
  unreachable: 5,
  notFound: 6,
  refused: 7,
  hasChanges: 10,
} as const;

const BY_CODE: Partial<Record<ErrorCode, number>> = {
  usage: EXIT.usage,
  'config.invalid': EXIT.usage,
  'daemon.unreachable': EXIT.unreachable,
  'not-found': EXIT.notFound,
  'subscription.unknown': EXIT.notFound,
  refused: EXIT.refused,
  'daemon.running': EXIT.refused,
  'folder.in-use': EXIT.refused,
  'pin.mismatch': EXIT.refused,
  'credential.invalid': EXIT.refused,
  'subscription.expired': EXIT.refused,
  'subscription.not-yet-valid': EXIT.refused,
  'subscription.tampered': EXIT.refused,
  'subscription.malformed': EXIT.refused,
  'subscription.too-large': EXIT.refused,
  'subscription.duplicate': EXIT.refused,
  'subscription.wrong-hub': EXIT.refused,
  'ipsec.peer': EXIT.refused,
  'ipsec.trial': EXIT.refused,
};

export function exitCodeOf(code: ErrorCode): number {
  return BY_CODE[code] ?? EXIT.failed;
}
