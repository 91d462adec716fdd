/** `postern ipsec plan|apply|confirm|rollback|explain`: a policy on its way into force, and out of it. */
import { buildCommand } from '@stricli/core';
import { formatDuration } from '../../base/duration.ts';
import { PosternError } from '../../base/error.ts';
import { systemFiles } from '../../base/files.ts';
import { explain, readPacket, ASSUMED_SOURCE_PORT } from '../../ipsec/policy/explain.ts';
import type { PolicyHost } from '../../daemon/ipsec-host.ts';
import { readEffective } from '../../ipsec/state/effective-state.ts';
import { type PolicyState, stateView } from '../../ipsec/state/policy-state.ts';
import { makePlan, type Plan } from '../../ipsec/trial/plan.ts';
import { type Context, guarded, print } from '../context.ts';
import { EXIT } from '../exit-code.ts';
import { formatPlan, type IpsecFlags, ipsecFlags, ipsecHost, thisSession } from '../ipsec-context.ts';
import { formatFields } from '../table.ts';

async function planOf(context: Context, host: PolicyHost): Promise<{ next: PolicyState; plan: Plan }> {
  const next = await host.planned();
  const { state } = await readEffective(systemFiles, host.folders);
  const { flow } = await thisSession(context);
  return { next, plan: makePlan(state, next, flow) };
}

export const planCommand = buildCommand({
  docs: {
    brief: 'Show what applying the policy would change, and whether your own session would be touched',
    fullDescription: 'Changes nothing. Exit code 10 when there are changes, 0 when there are none.',
  },
  parameters: { flags: ipsecFlags, aliases: { c: 'config', j: 'json' } },
  func(this: Context, flags: IpsecFlags) {
    return guarded(this, async () => {
      const { next, plan } = await planOf(this, ipsecHost(this, flags.config));
      print(this, flags.json, { policy: next.id, ...plan }, () => formatPlan(plan));
      return plan.changes.length === 0 ? EXIT.ok : EXIT.hasChanges;
    });
  },
});

export const applyCommand = buildCommand({
  docs: {
    brief: 'Put the policy on trial: in force at once, taken back after a minute unless it is confirmed',
    fullDescription:
      'Saves what is in force, arms the rollback, loads the guard, then lets charon hold the new connections. Everything stands below /run only: a reboot takes it back as well. "postern ipsec confirm" makes it permanent.',
  },
  parameters: { flags: ipsecFlags, aliases: { c: 'config', j: 'json' } },
  func(this: Context, flags: IpsecFlags) {
    return guarded(this, async () => {
      const host = ipsecHost(this, flags.config);
      await host.trials.look();
      const { next, plan } = await planOf(this, host);
      if (plan.changes.length === 0) {
        print(
          this,
          flags.json,
          { policy: next.id, ...plan },
          () => 'nothing to change: this policy is in force',
        );
        return EXIT.ok;
      }
      // Before anything is changed: a charon that is away, too old or incomplete.
      if (next.connections.length > 0) await host.charonVersion();
      const rollbackAfter = host.config.apply.rollback_after;
      const trial = await host.trials.apply({
        next,
        rollbackAfterSeconds: rollbackAfter / 1000,
        touchesOperator: plan.operator.touched,
      });
      const failures = await host.bringAbout();
      print(this, flags.json, { policy: next.id, ...plan, trial, failures }, () => formatPlan(plan));
      const { stderr } = this.process;
      for (const { what, error } of failures) stderr.write(`charon could not ${what}: ${error}\n`);
      stderr.write(
        `in force on trial: it is taken back in ${formatDuration(rollbackAfter)} unless you confirm it${plan.operator.touched ? ' FROM A NEW SESSION' : ''}: postern ipsec confirm\n`,
      );
      return failures.length === 0 ? EXIT.ok : EXIT.failed;
    });
  },
});

export const confirmCommand = buildCommand({
  docs: {
    brief: 'Make the policy on trial permanent',
    fullDescription:
      'Where the policy touches your session or the ports of management, only a session that was opened after "apply" may confirm: log in once more, and confirm there.',
  },
  parameters: { flags: ipsecFlags, aliases: { c: 'config', j: 'json' } },
  func(this: Context, flags: IpsecFlags) {
    return guarded(this, async () => {
      const host = ipsecHost(this, flags.config);
      const { openedAt } = await thisSession(this);
      await host.trials.confirm({ by: 'operator', openedAt });
      print(this, flags.json, { confirmed: true }, () => 'confirmed: the policy stays, also after a reboot');
    });
  },
});

export const rollbackCommand = buildCommand({
  docs: { brief: 'Take the policy on trial back now' },
  parameters: { flags: ipsecFlags, aliases: { c: 'config', j: 'json' } },
  func(this: Context, flags: IpsecFlags) {
    return guarded(this, async () => {
      const host = ipsecHost(this, flags.config);
      await host.trials.rollback();
      const failures = await host.bringAbout();
      print(
        this,
        flags.json,
        { takenBack: true, failures },
        () => 'taken back: what was confirmed before is in force',
      );
      return failures.length === 0 ? EXIT.ok : EXIT.failed;
    });
  },
});

interface ExplainFlags extends IpsecFlags {
  readonly planned: boolean;
  readonly sourcePort: number;
}

export const explainCommand = buildCommand({
  docs: {
    brief: 'What would happen to a packet, and why',
    fullDescription:
      'By the policy in force, or with --planned by the one in the file. Example: postern ipsec explain 192.0.2.10 192.0.2.50 110',
  },
  parameters: {
    flags: {
      ...ipsecFlags,
      planned: { kind: 'boolean', default: false, brief: 'Ask the policy in the file, not the one in force' },
      sourcePort: {
        kind: 'parsed',
        parse: readPort,
        default: String(ASSUMED_SOURCE_PORT),
        brief: 'Source port of the packet',
      },
    },
    aliases: { c: 'config', j: 'json' },
    positional: {
      kind: 'tuple',
      parameters: [
        { parse: String, placeholder: 'SRC', brief: 'Source address' },
        { parse: String, placeholder: 'DST', brief: 'Destination address' },
        { parse: String, placeholder: 'PORT', brief: '110, tcp/110, udp/389, icmp, esp, vrrp' },
      ],
    },
  },
  func(this: Context, flags: ExplainFlags, source: string, destination: string, port: string) {
    return guarded(this, async () => {
      const host = ipsecHost(this, flags.config);
      const packet = readPacket(source, destination, port, flags.sourcePort);
      const { state, origin } = flags.planned
        ? { state: await host.planned(), origin: 'planned' }
        : await readEffective(systemFiles, host.folders);
      const verdict = explain(stateView(state), packet);
      print(this, flags.json, { policy: origin, packet, ...verdict }, () =>
        formatFields([
          ['outcome', verdict.outcome],
          [
            'because',
            origin === 'none' ? 'no policy is in force (--planned asks the file)' : verdict.because,
          ],
          ['connection', verdict.connection],
          ['child', verdict.child],
          ['selectors', verdict.selectors?.join(' with ')],
          ['policy', origin],
        ]),
      );
    });
  },
});

function readPort(text: string): number {
  const port = Number(text);
  if (/^\d{1,5}$/.test(text) && port >= 1 && port <= 65_535) return port;
  throw new PosternError('usage', `"${text.slice(0, 20)}" is no port`, { hint: 'ports go from 1 to 65535' });
}
