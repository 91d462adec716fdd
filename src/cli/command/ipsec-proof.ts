/** `postern ipsec check|proof`: is everything where it should be, and does the wire say so too. */
import { buildCommand } from '@stricli/core';
import { formatDuration, parseDuration } from '../../base/duration.ts';
import { PosternError } from '../../base/error.ts';
import { systemFiles } from '../../base/files.ts';
import { checkPolicy } from '../../daemon/ipsec-check.ts';
import { capture } from '../../ipsec/proof/capture.ts';
import { formatProof, proofReport } from '../../ipsec/proof/report.ts';
import { readEffective } from '../../ipsec/state/effective-state.ts';
import { type Context, guarded, print } from '../context.ts';
import { EXIT } from '../exit-code.ts';
import { type IpsecFlags, ipsecFlags, ipsecHost } from '../ipsec-context.ts';
import { formatTable } from '../table.ts';

const aliases = { c: 'config', j: 'json' } as const;

export const checkCommand = buildCommand({
  docs: {
    brief: 'Look whether policy, guard, charon and certificates are as they should be',
    fullDescription:
      'Needs no daemon. Exit code 3 when something wants attention, 4 when traffic may pass unprotected or not at all.',
  },
  parameters: { flags: ipsecFlags, aliases },
  func(this: Context, flags: IpsecFlags) {
    return guarded(this, async () => {
      const results = await checkPolicy(ipsecHost(this, flags.config), {
        files: systemFiles,
        clock: this.clock,
      });
      print(this, flags.json, results, () =>
        formatTable(
          ['check', 'state', 'what', 'mend'],
          results.map(({ name, state, text, mend }) => [name, state, text, mend ?? '']),
        ),
      );
      if (results.some(({ state }) => state === 'critical')) return EXIT.critical;
      return results.some(({ state }) => state === 'warning') ? EXIT.degraded : EXIT.ok;
    });
  },
});

interface ProofFlags extends IpsecFlags {
  readonly for: number;
  readonly interface: string;
}

export const proofCommand = buildCommand({
  docs: {
    brief: 'Capture for a while and say whether anything protected was on the wire in clear',
    fullDescription:
      'Looks at what arrives before any filter and what leaves after all of them, fragments and IPv6 included. Proved only with ESP seen and nothing lost: exit code 0. Clear text: 4. Otherwise it says that it proves nothing: 3.',
  },
  parameters: {
    flags: {
      ...ipsecFlags,
      for: { kind: 'parsed', parse: parseDuration, default: '10s', brief: 'How long' },
      interface: { kind: 'parsed', parse: String, default: 'any', brief: 'Network interface' },
    },
    aliases,
  },
  func(this: Context, flags: ProofFlags) {
    return guarded(this, async () => {
      const host = ipsecHost(this, flags.config);
      const { state } = await readEffective(systemFiles, host.folders);
      if (state === undefined)
        throw new PosternError('not-found', 'no policy is in force: there is nothing to prove', {
          hint: 'postern ipsec apply',
        });
      const guard = await host.guard();
      const before = (await guard?.counters()) ?? {};
      const from = this.clock.now();
      const seen = await capture({
        scope: state.guard.scope,
        own: state.own,
        seconds: flags.for / 1000,
        device: flags.interface,
        clock: this.clock,
        signal: this.signal,
        onBegin: () => this.process.stderr.write(`capturing for ${formatDuration(flags.for)} ...\n`),
      });
      const after = (await guard?.counters()) ?? {};
      const report = proofReport({
        from,
        to: this.clock.now(),
        ...seen,
        guard: {
          state: (await guard?.check()) ?? 'none',
          drops: state.guard.scope.drops,
          counted: Object.fromEntries(
            Object.entries(after).map(([name, count]) => [name, count - (before[name] ?? 0)]),
          ),
        },
      });
      print(this, flags.json, report, () => formatProof(report));
      return { proved: EXIT.ok, violated: EXIT.critical, nothing: EXIT.degraded }[report.verdict];
    });
  },
});
