/** Whether a charon can do what is needed of it. Pure. */
import { PosternError } from '../../base/error.ts';
import type { DaemonVersion } from '../../vici/command.ts';

/** Debian 12's; older ones lack what is relied on here (children of a connection changed one by one, the key derivation plugin). */
const OLDEST = [5, 9, 8] as const;

/** Those without which no connection of ours comes up; each stands for what it brings. */
const PLUGINS: readonly (readonly [alternatives: readonly string[], brings: string])[] = [
  [['kernel-netlink'], 'the kernel'],
  [['socket-default', 'socket-dynamic'], 'sockets for key exchange'],
  [['openssl', 'x509'], 'certificates'],
  [['openssl', 'pem'], 'keys in PEM'],
  [['kdf', 'openssl', 'botan', 'wolfssl'], 'key derivation'],
];

export function oldVersion({ version }: DaemonVersion): PosternError | undefined {
  const numbers = /^(\d+)\.(\d+)(?:\.(\d+))?/
    .exec(version)
    ?.slice(1)
    .map((text: string | undefined) => Number(text ?? 0));
  if (numbers === undefined) return unfit(`charon calls its version "${version.slice(0, 40)}"`);
  const at = OLDEST.findIndex((oldest, index) => numbers[index] !== oldest);
  if (at === -1 || (numbers[at] ?? 0) > (OLDEST[at] ?? 0)) return undefined;
  return unfit(`charon is of strongSwan ${version}, which is too old`);
}

export function missingPlugins(plugins: readonly string[]): PosternError | undefined {
  const missing = PLUGINS.find(([alternatives]) => !alternatives.some((name) => plugins.includes(name)));
  return missing === undefined
    ? undefined
    : unfit(`this charon has no plugin for ${missing[1]} (${missing[0].join(' or ')})`);
}

function unfit(message: string): PosternError {
  return new PosternError('vici.unsupported', message, {
    hint: 'strongSwan 5.9.8 or newer with its standard plugins (Debian: charon-systemd, strongswan-swanctl, libstrongswan-standard-plugins)',
  });
}
