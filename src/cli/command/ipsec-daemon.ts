/** `postern ipsec run` and `postern ipsec status`: the daemon in the foreground, and what it says of itself. */
import { buildCommand } from '@stricli/core';
import { controlClient } from '../../admin/control-client.ts';
import type { IpsecStatus } from '../../admin/ipsec-documents.ts';
import { type Context, controlSocket, guarded, print } from '../context.ts';
import { EXIT } from '../exit-code.ts';
import { commonAliases } from '../flags.ts';
import { ipsecConfigFlag, type IpsecFlags, ipsecFlags, ipsecHost } from '../ipsec-context.ts';
import { formatIpsecStatus } from '../ipsec-status-text.ts';

interface RunFlags {
  readonly config?: string;
  readonly manageStrongswanConf: boolean;
}

export const ipsecRun = buildCommand({
  docs: {
    brief: 'Run the IPsec daemon in the foreground',
    fullDescription: [
      'Keeps strongSwan as the policy in force says, and the guard where it should be. Ends without touching what is loaded.',
      '',
      '--manage-strongswan-conf lets it write /etc/strongswan.d/postern.conf: how long charon waits for a silent peer. Such settings hold',
      'for every connection of that charon, also for those of others, so they are never changed without it.',
    ].join('\n'),
  },
  parameters: {
    flags: {
      config: ipsecConfigFlag,
      manageStrongswanConf: {
        kind: 'boolean',
        default: false,
        brief: 'May write settings that hold for every connection of charon',
      },
    },
    aliases: { c: 'config' },
  },
  func(this: Context, flags: RunFlags) {
    return guarded(this, async () => {
      const { config, folders } = ipsecHost(this, flags.config);
      // Only here: every other command starts without the daemon's code.
      const { runIpsec } = await import('../../daemon/ipsec.ts');
      const strongswanConf = this.env['STRONGSWAN_CONF'] ?? '/etc/strongswan.conf';
      await runIpsec(
        config,
        { folders, manageStrongswanConf: flags.manageStrongswanConf, strongswanConf },
        this.signal,
      );
    });
  },
});

export const ipsecStatus = buildCommand({
  docs: { brief: 'Show what is protected, and what is wrong' },
  parameters: { flags: ipsecFlags, aliases: commonAliases },
  func(this: Context, flags: IpsecFlags) {
    return guarded(this, async () => {
      const client = controlClient(controlSocket(ipsecHost(this, flags.config).config.data));
      const status = await client.call<IpsecStatus>('GET', '/v1/status');
      print(this, flags.json, status, () => formatIpsecStatus(status));
      if (status.warnings.some(({ severity }) => severity === 'critical')) return EXIT.critical;
      return status.warnings.length > 0 ? EXIT.degraded : EXIT.ok;
    });
  },
});
