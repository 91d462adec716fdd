/**
 * Names below `localhost` without DNS: RFC 6761 §6.3 reserves them for this machine and asks resolvers to say so, which most C libraries
 * leave to DNS (where such a question must never go). Knows names only.
 */
import { lookup, type LookupAddress } from 'node:dns';
import type { LookupFunction } from 'node:net';

const LOOPBACK: readonly LookupAddress[] = [
  { address: '127.0.0.1', family: 4 },
  { address: '::1', family: 6 },
];

/** `edge1.localhost`, with or without the final dot. `localhost` itself is in every /etc/hosts and is the system's to answer. */
export function isBelowLocalhost(host: string): boolean {
  return /.\.localhost\.?$/i.test(host);
}

/** For `net.connect`: loopback for names below `localhost`, the system's resolver for all others. */
export const lookupHost: LookupFunction = (host, options, callback) => {
  if (!isBelowLocalhost(host)) return lookup(host, options, callback);
  const family = options.family === 'IPv4' ? 4 : options.family === 'IPv6' ? 6 : options.family;
  const found = LOOPBACK.filter((entry) => family === undefined || family === 0 || entry.family === family);
  queueMicrotask(() => {
    if (options.all === true) callback(null, [...found]);
    else callback(null, found[0]?.address ?? '', found[0]?.family);
  });
};
