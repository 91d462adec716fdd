/**
 * Settings of charon and the kernel that hold for all its users: what recovery in seconds needs, what is there, and the snippet of strongswan.conf that
 * makes it so. Written only with consent: other people's connections wait by the same settings.
 */
import { PosternError } from '../../base/error.ts';
import { type Files, replaceFile } from '../../base/files.ts';
import type { DesiredSettings } from '../desired.ts';
import type { StrongswanSettings } from './strongswan-conf.ts';

export interface SettingCheck {
  /** `charon.retransmit_timeout`, `net.core.xfrm_larval_drop`. */
  readonly name: string;
  readonly wanted: string;
  readonly found: string;
  readonly ok: boolean;
  /** What it is good for. */
  readonly why: string;
}

/** What charon takes where nothing is set (strongswan.conf(5)). */
const DEFAULTS = { retransmit_timeout: '4.0', retransmit_base: '1.8', retransmit_tries: '5' } as const;

/** Seconds until a silent peer is given up. */
export function givenUpAfterSeconds({
  retransmitTimeout,
  retransmitBase,
  retransmitTries,
}: DesiredSettings): number {
  let total = 0;
  for (let attempt = 0; attempt <= retransmitTries; attempt++)
    total += retransmitTimeout * retransmitBase ** attempt;
  return total;
}

/**
 * Seconds after which the kernel asks charon again for an association that did not come about. Where it is not set, charon 5.9.8 works it out from its
 * retransmission, and with a base of 1.0 comes to 149 days.
 */
const acquireSeconds = (wanted: DesiredSettings): number =>
  Math.max(2, Math.ceil(givenUpAfterSeconds(wanted)));

export interface KernelSettings {
  /** Text of /proc/sys/net/core/xfrm_larval_drop and xfrm_acq_expires; undefined where there is none. */
  readonly larvalDrop: string | undefined;
  readonly acquireExpires: string | undefined;
}

export async function readKernelSettings(files: Files): Promise<KernelSettings> {
  const read = async (name: string): Promise<string | undefined> => {
    const bytes = await files.readFile(`/proc/sys/net/core/${name}`).catch(() => undefined);
    return bytes?.toString('latin1').trim();
  };
  return { larvalDrop: await read('xfrm_larval_drop'), acquireExpires: await read('xfrm_acq_expires') };
}

export function checkSettings(
  wanted: DesiredSettings,
  settings: StrongswanSettings,
  kernel: KernelSettings,
): SettingCheck[] {
  // charon-systemd reads its own section first.
  const found = (name: keyof typeof DEFAULTS): string =>
    settings.get(`charon-systemd.${name}`) ?? settings.get(`charon.${name}`) ?? DEFAULTS[name];
  const why = `a silent peer is given up after ${givenUpAfterSeconds(wanted).toFixed(1)} s`;
  const check = (name: keyof typeof DEFAULTS, value: number): SettingCheck => ({
    name: `charon.${name}`,
    wanted: String(value),
    found: found(name),
    ok: Number(found(name)) === value,
    why,
  });
  return [
    check('retransmit_timeout', wanted.retransmitTimeout),
    check('retransmit_base', wanted.retransmitBase),
    check('retransmit_tries', wanted.retransmitTries),
    ...checkKernel(wanted, kernel),
  ];
}

function checkKernel(
  wanted: DesiredSettings,
  { larvalDrop, acquireExpires }: KernelSettings,
): SettingCheck[] {
  const most = acquireSeconds(wanted);
  return [
    ...(acquireExpires === undefined
      ? []
      : [
          {
            name: 'charon.plugins.kernel-netlink.xfrm_acq_expires',
            wanted: String(most),
            found: acquireExpires,
            ok: Number(acquireExpires) <= most,
            why: 'after a failed attempt the kernel asks for an association again this soon (charon sets it when it starts, or reads its settings again)',
          },
        ]),
    ...(larvalDrop === undefined
      ? []
      : [
          {
            name: 'net.core.xfrm_larval_drop',
            wanted: '0',
            found: larvalDrop,
            ok: larvalDrop === '0',
            why: 'the first packet waits for the association instead of being lost: a first connection in 0.1 s rather than 1.1 s',
          },
        ]),
  ];
}

export const SNIPPET_PATH = '/etc/strongswan.d/postern.conf';
const MARK = '# Written by postern ipsec (--manage-strongswan-conf); changes are overwritten.';

export function renderSnippet(wanted: DesiredSettings): string {
  return `${MARK}
# These settings hold for every connection of this charon, also for those of others.
charon {
  retransmit_timeout = ${wanted.retransmitTimeout}
  retransmit_base = ${wanted.retransmitBase}
  retransmit_tries = ${wanted.retransmitTries}
  plugins {
    kernel-netlink {
      xfrm_acq_expires = ${acquireSeconds(wanted)}
    }
  }
}
`;
}

/** Resolves to whether the file was changed. Throws `ipsec.settings` when somebody else's file is in its place. */
export async function writeSnippet(files: Files, path: string, wanted: DesiredSettings): Promise<boolean> {
  const text = renderSnippet(wanted);
  if (await files.exists(path)) {
    const there = (await files.readFile(path)).toString('utf8');
    if (there === text) return false;
    if (!there.startsWith(MARK))
      throw new PosternError('ipsec.settings', `${path} was not written by us and stays as it is`, {
        hint: 'move that file away, or set what postern ipsec check names by hand',
        fields: { path },
      });
  }
  await replaceFile(files, path, Buffer.from(text));
  return true;
}
