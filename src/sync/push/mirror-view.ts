/** What the push needs of the hub's mirror: an ordered walk, and every change in the moment it becomes visible. Interface only. */

export interface MirrorChange {
  /** Record number in the mirror: the walk goes by it. */
  readonly id: number;
  readonly guid: Buffer;
  /** Packed recipient (`packRecipient`) before and after; undefined: was not there, is gone. */
  readonly before: Buffer | undefined;
  readonly after: Buffer | undefined;
}

/** Where a mirror stands: equal positions mean equal content, to the byte. */
export interface MirrorPosition {
  /** 16 random bytes, made when the mirror was begun. */
  readonly mirrorId: Buffer;
  /** Raised with every batch of changes, in the same store transaction. */
  readonly sequence: number;
  /** The source's cookie (see `cookie.ts`) of the last whole position; undefined while the first pass is under way. */
  readonly cookie: Buffer | undefined;
}

export interface MirrorListener {
  /**
   * One batch, called in the same turn in which it becomes visible to `visit`; `position` is the one after it. The
   * buffers may be kept. `plannedRemovals`: what the pass this batch belongs to will remove from here on, this batch included.
   */
  onChanges(changes: readonly MirrorChange[], position: MirrorPosition, plannedRemovals: number): void;
  /** A complete pass has ended, or a live feed has told its position: nothing but the cookie (and `current`) has changed. */
  onPosition(position: MirrorPosition): void;
}

export interface MirrorView {
  readonly size: number;
  readonly position: MirrorPosition;
  /** True once the source has confirmed the content since this daemon was started: it is not behind an edge then. */
  readonly current: boolean;
  subscribe(listener: MirrorListener): () => void;
  /** Visits up to `most` recipients with id >= `from`, ascending; returns the id to go on with, or undefined at the end. */
  visit(
    from: number,
    most: number,
    visitor: (id: number, guid: Buffer, packed: Buffer) => void,
  ): number | undefined;
  /** Resolves when everything visible now is on disk: nothing may reach an edge before. */
  flushed(): Promise<void>;
}
