/** charon's settings that hold for everybody: looked at for the status, and written when the administrator has said that we may. */
import type { SettingCheck } from '../../admin/ipsec-documents.ts';
import { describeError } from '../../base/error.ts';
import type { Files } from '../../base/files.ts';
import type { Log } from '../../base/log.ts';
import { checkSettings, readKernelSettings, writeSnippet } from '../../ipsec/charon/settings.ts';
import { readStrongswanConf } from '../../ipsec/charon/strongswan-conf.ts';
import type { DesiredSettings } from '../../ipsec/desired.ts';
import { reloadSettings } from '../../vici/command.ts';
import type { ViciSession } from '../../vici/session.ts';

export interface CharonSettingsOptions {
  readonly files: Files;
  readonly log: Log;
  /** strongswan.conf as charon reads it. */
  readonly conf: string;
  /** Where our snippet goes; undefined without consent. */
  readonly snippet: string | undefined;
}

export class CharonSettings {
  readonly #options: CharonSettingsOptions;
  #fault: string | undefined;

  constructor(options: CharonSettingsOptions) {
    this.#options = options;
  }

  /** Writes what the policy needs, if that was allowed, and lets charon read it. Never rejects: the policy goes on without. */
  async follow(wanted: DesiredSettings, session: ViciSession): Promise<void> {
    const { files, log, snippet } = this.#options;
    if (snippet === undefined) return;
    try {
      if (await writeSnippet(files, snippet, wanted)) {
        log.info('settings of charon were written', { path: snippet });
        if (session.up) await reloadSettings(session);
      }
      this.#fault = undefined;
    } catch (error) {
      this.#fault = describeError(error);
      log.error('settings of charon could not be written', { error });
    }
  }

  async check(wanted: DesiredSettings): Promise<{ checks: SettingCheck[]; fault: string | undefined }> {
    const { files, conf } = this.#options;
    try {
      const settings = await readStrongswanConf(files, conf);
      return { checks: checkSettings(wanted, settings, await readKernelSettings(files)), fault: this.#fault };
    } catch (error) {
      return { checks: [], fault: this.#fault ?? describeError(error) };
    }
  }
}
