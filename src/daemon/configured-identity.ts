/** The certificate that a configuration names in [identity]: read and judged where the administrator (or his ACME client) puts it. */
import { realpath, stat } from 'node:fs/promises';
import type { Clock } from '../base/clock.ts';
import { PosternError } from '../base/error.ts';
import type { Files } from '../base/files.ts';
import { checkBrought } from '../certificate/brought.ts';
import { type Identity, loadIdentity } from '../certificate/identity.ts';
import type { RolloverTimings } from '../certificate/rollover/rollover.ts';
import type { RolloverTable } from '../config/field.ts';

export interface ConfiguredIdentity {
  readonly key_file: string;
  readonly certificate_file: string;
}

export interface ConfiguredIdentityOptions {
  readonly files: Files;
  readonly clock: Pick<Clock, 'now'>;
  readonly role: 'edge' | 'hub';
  readonly fqdn: string;
}

/** Undefined when the configuration names none. The reader throws `file.unreadable`, `file.permissions`, `certificate.invalid`. */
export function configuredIdentity(
  table: ConfiguredIdentity | undefined,
  { files, clock, role, fqdn }: ConfiguredIdentityOptions,
): (() => Promise<Identity>) | undefined {
  if (table === undefined) return undefined;
  return async () => {
    // ACME clients keep links to the newest files.
    const [key, certificate] = [await resolved(table.key_file), await resolved(table.certificate_file)];
    const { mode } = await stat(key);
    if ((mode & 0o007) !== 0)
      throw new PosternError('file.permissions', `everybody may read the private key in ${table.key_file}`, {
        hint: `chmod o= ${table.key_file}, and have the key replaced: it may have been read`,
        fields: { path: table.key_file, mode: (mode & 0o777).toString(8) },
      });
    const identity = await loadIdentity(files, key, certificate);
    checkBrought(identity, { fqdn: fqdn.toLowerCase(), role, now: clock.now() });
    return identity;
  };
}

/** [rollover] as the rollover's driver takes it. */
export function rolloverOptions({ validity, renew_before, overlap }: RolloverTable): {
  readonly timings: RolloverTimings;
  readonly validDays: number;
} {
  return { timings: { renewBeforeMs: renew_before, overlapMs: overlap }, validDays: validity / 86_400_000 };
}

async function resolved(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (cause) {
    throw new PosternError('file.unreadable', `cannot read ${path}`, {
      cause,
      hint: 'check [identity], and that the user of the daemon may read the file',
      fields: { path },
    });
  }
}
