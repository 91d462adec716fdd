/** The configuration directory as one pair sees it: replaced as a whole at each change, so that a backup is a reference. */

export interface OwnRecord {
  readonly secret: string;
  readonly effectiveAt: number;
  readonly expiresAt: number;
}

export interface Contents {
  readonly own: ReadonlyMap<number, OwnRecord>;
  readonly published: ReadonlyMap<number, OwnRecord & { readonly recordId: string }>;
}

export class ConfigurationDirectory {
  contents: Contents;
  /** What a replica shows that is cut off from the others, with what was written to it since. */
  stale: Contents | undefined;
  /** Before the last write, which a replica may have missed. */
  before: Contents;
  /** The next write is acknowledged and lost. */
  losesNext = false;

  constructor(contents: Contents = { own: new Map(), published: new Map() }) {
    this.contents = contents;
    this.before = contents;
  }

  get seen(): Contents {
    return this.stale ?? this.contents;
  }

  /** Returns false when the write was lost. */
  write(change: (contents: Contents) => Contents): boolean {
    if (this.losesNext) {
      this.losesNext = false;
      return false;
    }
    this.before = this.contents;
    this.contents = change(this.contents);
    if (this.stale !== undefined) this.stale = change(this.stale);
    return true;
  }
}

export function withEntry<V>(
  map: ReadonlyMap<number, V>,
  number: number,
  value: V | undefined,
): Map<number, V> {
  const next = new Map(map);
  if (value === undefined) next.delete(number);
  else next.set(number, value);
  return next;
}
