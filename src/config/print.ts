/** A validated configuration back as TOML, every default spelled out; for `postern config print`. */
import { stringify } from 'smol-toml';
import { formatDuration } from '../base/duration.ts';
import type { ListenAddress } from './field.ts';

/** Keys whose numbers are durations in milliseconds. */
const DURATION_KEYS = new Set([
  'max_age',
  'configuration',
  'recipients',
  'topology',
  'site',
  'fallback_after',
  'poll',
  'full',
  'cookie_validity',
  'lock',
  'quiet',
  'renew_below',
  'lifetime',
  'validity',
  'renew_before',
  'overlap',
  'rollback_after',
  'successor_before',
  'effective_before',
  'cycle',
]);

export function printConfig(config: object): string {
  return stringify(plain(config, '') as Record<string, unknown>);
}

function plain(value: unknown, key: string): unknown {
  if (typeof value === 'number') return DURATION_KEYS.has(key) ? formatDuration(value) : value;
  if (Array.isArray(value)) return value.map((item) => plain(item, key));
  if (typeof value !== 'object' || value === null) return value;
  if ('kind' in value && (value.kind === 'tcp' || value.kind === 'unix'))
    return formatListenAddress(value as ListenAddress);
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, v]) => v !== undefined)
      .map(([k, v]) => [k, plain(v, k)]),
  );
}

export function formatListenAddress(address: ListenAddress): string {
  if (address.kind === 'unix') return `unix:${address.path}?mode=0${address.mode.toString(8)}`;
  return address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}
