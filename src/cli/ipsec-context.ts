/** What the `ipsec` commands have in common: the policy's file, the host, and texts. */
import { join } from 'node:path';
import { systemFiles } from '../base/files.ts';
import { ipsecConfigSchema } from '../config/ipsec-config.ts';
import { parseConfig } from '../config/load.ts';
import { PolicyHost } from '../daemon/ipsec-host.ts';
import { type OperatorSession, operatorSession } from '../ipsec/trial/operator-session.ts';
import type { Change, Plan } from '../ipsec/trial/plan.ts';
import { CONFIG_FOLDER, type Context, readConfigFile } from './context.ts';

export const ipsecConfigFlag = {
  kind: 'parsed',
  parse: String,
  optional: true,
  placeholder: 'FILE',
  brief: 'The policy (default: /etc/postern/ipsec.toml)',
} as const;

export const ipsecFlags = {
  config: ipsecConfigFlag,
  json: { kind: 'boolean', default: false, brief: 'One JSON document on standard output' },
} as const;

export interface IpsecFlags {
  readonly config?: string;
  readonly json: boolean;
}

export function ipsecHost(context: Context, given: string | undefined): PolicyHost {
  const path = given ?? join(CONFIG_FOLDER, 'ipsec.toml');
  const config = parseConfig(ipsecConfigSchema, readConfigFile(context, path), path);
  return new PolicyHost(config, path, { files: systemFiles, clock: context.clock, random: context.random });
}

/** Whoever gives this command. */
export function thisSession(context: Context): Promise<OperatorSession> {
  return operatorSession(systemFiles, process.pid, context.env['SSH_CONNECTION']);
}

const SIGNS = { add: '+', change: '~', remove: '-' } as const;

export function formatPlan(plan: Plan): string {
  const changes = plan.changes.flatMap(({ what, name, change, details }: Change) => [
    `${SIGNS[change]} ${what === name ? what : `${what} ${name}`}`,
    ...details.map((line) => `    ${line}`),
  ]);
  const operator = `${plan.operator.touched ? 'your session: TOUCHED: ' : 'your session: '}${plan.operator.because}`;
  return [...(changes.length === 0 ? ['nothing to change'] : changes), operator].join('\n');
}
