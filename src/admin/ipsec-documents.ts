/** What `postern ipsec run` answers on its control socket: `postern ipsec status --json` is exactly this. Versioned; fields are only ever added. */
import type { SettingCheck } from '../ipsec/charon/settings.ts';
import type { DOCUMENT_VERSION, Warning } from './documents.ts';

export type { SettingCheck };

export interface IpsecChildStatus {
  readonly name: string;
  /** `up`: an association carries the traffic; `waiting`: the trap waits for traffic; `missing`: not even that. */
  readonly state: 'up' | 'waiting' | 'missing';
  /** Of the association: TRANSPORT unless something is wrong. */
  readonly mode?: string;
  readonly algorithms?: string;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly packetsIn: number;
  readonly packetsOut: number;
  /** Age of the association, seconds. */
  readonly installedSeconds?: number;
}

export interface IpsecPeerStatus {
  readonly connection: string;
  readonly family: 'ipv4' | 'ipv6';
  readonly local: { readonly id: string; readonly address: string };
  readonly remote: { readonly id: string; readonly address: string };
  /** `failing`: the last attempts came to nothing; `waiting`: nobody has needed it yet. */
  readonly state: 'up' | 'connecting' | 'waiting' | 'failing';
  readonly establishedSeconds?: number;
  readonly algorithms?: string;
  readonly children: readonly IpsecChildStatus[];
  /** Attempts in a row that came to nothing. */
  readonly consecutiveFailures: number;
  readonly failureDetail?: string;
}

export interface IpsecGuardStatus {
  /** `none`: the policy has no guard. */
  readonly state: 'ok' | 'missing' | 'altered' | 'failed' | 'none';
  /** How often it was not as it should be and was put back since this daemon's start. */
  readonly mended: number;
  /** Packets since it was loaded, by counter. */
  readonly counters: Readonly<Record<string, number>>;
  readonly detail?: string;
}

export interface IpsecStatus {
  readonly version: typeof DOCUMENT_VERSION;
  readonly role: 'ipsec';
  readonly now: number;
  readonly startedAt: number;
  readonly charon: { readonly version?: string; readonly away?: string };
  /** `trial`: not confirmed yet. */
  readonly policy: { readonly origin: 'trial' | 'confirmed' | 'none'; readonly id?: string };
  readonly guard: IpsecGuardStatus;
  readonly lastLook: number | undefined;
  readonly peers: readonly IpsecPeerStatus[];
  readonly settings: readonly SettingCheck[];
  readonly memoryBytes: number;
  readonly warnings: readonly Warning[];
}
