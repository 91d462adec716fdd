/** What a decoder accepts from the other side. The size of a message is the framer's limit. */

export interface DecodeLimits {
  /** Open constructed elements, filters included. */
  readonly depth: number;
  /** Controls of one message. */
  readonly controls: number;
  /** Attributes of an entry, changes of a modify, attributes asked for in a search. */
  readonly attributes: number;
  /** Values in one message, all attributes together. */
  readonly values: number;
  readonly filterDepth: number;
  /** Components of one filter, substrings included. */
  readonly filterNodes: number;
  readonly referrals: number;
}

/** For servers: what clients may send. */
export const SERVER_LIMITS: DecodeLimits = {
  depth: 80,
  controls: 32,
  attributes: 10_000,
  values: 25_000,
  filterDepth: 64,
  filterNodes: 4096,
  referrals: 256,
};

/** For clients: large groups come as entries with very many values. */
export const CLIENT_LIMITS: DecodeLimits = { ...SERVER_LIMITS, attributes: 50_000, values: 2_000_000 };
