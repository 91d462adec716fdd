/** What can be seen of a pair from outside: the world tells it, the oracle judges it. Nothing here knows a rule or a state of either side. */

export interface Held {
  readonly number: number;
  readonly secret: string | undefined;
  readonly effectiveAt: number;
  readonly expiresAt: number;
}

export type Observation =
  /** A record was written: by the hub to its own object, or to the edge's. */
  | {
      readonly what: 'record';
      readonly number: number;
      readonly secret: string;
      readonly effectiveAt: number;
      readonly expiresAt: number;
      readonly hubClock: number;
      /** Which installation of the hub wrote it. */
      readonly node: string;
    }
  | { readonly what: 'published'; readonly number: number; readonly secret: string }
  | {
      readonly what: 'bind';
      readonly node: string;
      readonly number: number;
      readonly secret: string;
      readonly purpose: 'session' | 'proof';
      readonly outcome: 'ok' | 'who-am-i-only' | 'reused' | 'refused' | 'unreachable';
      readonly edgeClock: number;
      readonly hubClock: number;
    }
  | { readonly what: 'recovery'; readonly secret: string; readonly counted: boolean }
  | { readonly what: 'warning'; readonly side: 'hub' | 'edge'; readonly node: string; readonly code: string }
  /** The end of a cycle of one installation; `calls`: it reached the edge. */
  | {
      readonly what: 'cycle';
      readonly node: string;
      readonly reached: boolean;
      readonly hubClock: number;
      readonly edgeClock: number;
      readonly warnings: readonly string[];
    }
  /** cn=Accounts of the edge, after it has done what was due. */
  | {
      readonly what: 'accounts';
      readonly numbers: readonly number[];
      /** Numbers of the records on the edge's object. */
      readonly records: readonly number[];
      readonly edgeClock: number;
    }
  /** What really happened; `disturbed`: something that the pair needs does not work. */
  | { readonly what: 'disturbed'; readonly by: readonly string[] }
  /** A look at both sides between two cycles: what the hub could show (`using`: would show), and what the edge would take. */
  | {
      readonly what: 'probe';
      readonly using: number | undefined;
      readonly own: ReadonlyMap<number, string>;
      readonly accounts: readonly Held[];
      readonly edgeClock: number;
    }
  /** Somebody does things without end at one moment. */
  | { readonly what: 'wild' }
  | {
      readonly what: 'accident';
      readonly kind: 'restore-hub' | 'restore-edge' | 'lost-write' | 'kill';
      /** When the backup was made. */
      readonly copyOf?: number | undefined;
    }
  | { readonly what: 'push'; readonly works: boolean }
  | { readonly what: 'clone'; readonly alive: boolean; readonly node: string }
  | {
      readonly what: 'command';
      readonly kind: 'rotate' | 'rotate-now' | 'revoke-hub' | 'revoke-edge' | 'allow' | 'resolve';
      readonly number?: number | undefined;
    }
  | { readonly what: 'end'; readonly side: 'hub' | 'edge' }
  /** For whoever reads a trace; judged by nobody. */
  | { readonly what: 'note'; readonly text: string };

export type Observe = (at: number, observation: Observation) => void;
