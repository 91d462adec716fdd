/**
 * Keeps the recipients of one edge equal to the mirror, over one connection that holds the lease. An edge in step gets the
 * changes as they come; any other is walked through: every recipient of the mirror is compared with what the edge said it
 * holds, then what is left over there is removed. Changes meanwhile are queued only for recipients already visited, so the
 * walk may chase a mirror that is still being filled.
 */
import type { Clock } from '../../base/clock.ts';
import { yieldToLoop } from '../../base/clock.ts';
import { PosternError } from '../../base/error.ts';
import type { LdapClient } from '../../ldap/client.ts';
import { DigestSum, entryHash } from '../content-digest.ts';
import { edgeAttributes, recipientDn, unpackRecipient } from '../recipient.ts';
import { ChangeQueue } from './change-queue.ts';
import { fetchListing, readEdgeState } from './edge-query.ts';
import type { EdgeListing } from './edge-listing.ts';
import { type EdgeState, edgeStateChanges, edgeStateDn } from './edge-state.ts';
import type { MirrorChange, MirrorListener, MirrorPosition, MirrorView } from './mirror-view.ts';
import type { TransactionWriter, WriteOperation } from './transaction-writer.ts';

export interface RecipientPushOptions {
  readonly client: LdapClient;
  /** Of the same connection; shared with the pushes of other kinds. */
  readonly writer: TransactionWriter;
  readonly mirror: MirrorView;
  /** Hashes a canonical address with this edge's key. */
  readonly hash: (address: string) => Buffer;
  readonly digestKey: Buffer;
  readonly epoch: number;
  readonly clock: Clock;
  /** Longest time between two confirmations, milliseconds. */
  readonly confirmEveryMs: number;
  /** When the source last confirmed the mirror. */
  readonly lastConfirmed: () => number | undefined;
  /** Compare every entry, though the edge's position says that it is in step. */
  readonly compareAll?: boolean;
  readonly onProgress: (progress: PushProgress) => void;
}

export interface PushProgress {
  /** Recipients dealt with in this walk; the changes streamed since, when in step. */
  readonly pushed: number;
  readonly total: number | undefined;
  readonly inStep: boolean;
  /** Everything sent is durable on the edge, and the edge equals the mirror. */
  readonly settled: boolean;
  /** Sequence of the last position of the mirror that the edge has on its disk; undefined while it isn't in step. */
  readonly settledSequence: number | undefined;
}

/** Operations a transaction: large enough to share a flush, small enough that a live change is not held up. */
const TRANSACTION_OPERATIONS = 512;
export class RecipientPush implements MirrorListener {
  readonly #options: RecipientPushOptions;
  readonly #writer: TransactionWriter;
  readonly #queue = new ChangeQueue();
  #wake: (() => void) | undefined;
  /** Ids below are visited. */
  #cursor = 0;
  #listing: EdgeListing | undefined;
  #sum = new DigestSum();
  #position: MirrorPosition;
  #settledPosition: MirrorPosition | undefined;
  #complete = false;
  #pushed = 0;
  #inFlight = 0;
  #confirmedSent: number | undefined;
  #confirmDue = false;
  #lost: PosternError | undefined;

  constructor(options: RecipientPushOptions) {
    this.#options = options;
    this.#writer = options.writer;
    this.#position = options.mirror.position;
  }

  onChanges(changes: readonly MirrorChange[], position: MirrorPosition, plannedRemovals: number): void {
    const visited =
      this.#cursor === Number.POSITIVE_INFINITY
        ? changes
        : changes.filter((change) => change.id < this.#cursor);
    this.#queue.push({ changes: visited, position, plannedRemovals });
    this.#signal();
  }

  onPosition(position: MirrorPosition): void {
    this.#queue.push({ changes: [], position, plannedRemovals: 0 });
    this.#signal();
  }

  /** Lets the mirror slow its source down rather than pile changes up here. */
  room(): Promise<void> | undefined {
    return this.#queue.room();
  }

  /** The source has just confirmed the mirror: the edge is told at once, for it may have been without news for long. */
  confirm(): void {
    this.#confirmDue = true;
    this.#signal();
  }

  /** Runs until the connection ends or `signal` aborts; rejects with why. */
  async run(signal: AbortSignal): Promise<void> {
    const { mirror, client } = this.#options;
    void client.closed.then((error) => {
      this.#lost = error;
      this.#signal();
    });
    const state = await readEdgeState(client, 'recipients');
    await this.#waitUntilCurrent(state, signal);
    const believed = this.#options.compareAll !== true;
    const inStep = believed && isInStep(state, mirror.position);
    if (!inStep) this.#listing = await fetchListing(client, this.#options.digestKey, state.digest.count);
    // From here to the first visit there is no await: the walk and the subscription start from the same content.
    const unsubscribe = mirror.subscribe(this);
    try {
      if (inStep && isInStep(state, mirror.position)) {
        this.#cursor = Number.POSITIVE_INFINITY;
        this.#sum = state.digest;
        this.#position = mirror.position;
        this.#settledPosition = mirror.position;
        this.#complete = true;
      } else {
        await this.#walk(signal);
        await this.#sweep(signal);
      }
      await this.#stream(signal);
    } finally {
      unsubscribe();
    }
  }

  /** An edge with data must not be rolled back to a mirror whose source has not been heard yet. */
  async #waitUntilCurrent(state: EdgeState, signal: AbortSignal): Promise<void> {
    const { mirror } = this.#options;
    if (state.loadState !== 'complete' || mirror.current || isInStep(state, mirror.position)) return;
    await new Promise<void>((resolve, reject) => {
      const done = (act: () => void): void => {
        stop();
        signal.removeEventListener('abort', onAbort);
        act();
      };
      const check = (): void => {
        if (mirror.current) done(resolve);
      };
      const onAbort = (): void => done(() => reject(signal.reason as Error));
      const stop = mirror.subscribe({ onChanges: check, onPosition: check });
      signal.addEventListener('abort', onAbort, { once: true });
      if (signal.aborted) onAbort();
    });
  }

  async #walk(signal: AbortSignal): Promise<void> {
    const { mirror } = this.#options;
    this.#position = mirror.position;
    for (let from: number | undefined = 0; from !== undefined; ) {
      signal.throwIfAborted();
      await this.#drainQueue(signal);
      const operations: WriteOperation[] = [];
      // The position is taken together with the content; what follows arrives by the queue.
      from = mirror.visit(from, TRANSACTION_OPERATIONS, (_id, guid, packed) =>
        this.#visit(guid, packed, operations),
      );
      this.#cursor = from ?? Number.POSITIVE_INFINITY;
      this.#position = mirror.position;
      if (operations.length > 0) await this.#send(operations, 0);
      else await yieldToLoop();
      this.#report();
    }
    await this.#drainQueue(signal);
  }

  #visit(guid: Buffer, packed: Buffer, operations: WriteOperation[]): void {
    const attributes = this.#attributes(packed);
    const hash = entryHash(this.#options.digestKey, guid, attributes);
    this.#sum.add(hash);
    this.#pushed++;
    if (this.#listing?.compare(guid, hash) === 'equal') return;
    operations.push(putRecipient(guid, attributes));
  }

  /** Removes what only the edge has, once a complete pass proves that it is gone. */
  async #sweep(signal: AbortSignal): Promise<void> {
    while (this.#position.cookie === undefined) await this.#nextBatch(signal);
    const listing = this.#listing;
    if (listing !== undefined) {
      const unseen = listing.unseenGuids(TRANSACTION_OPERATIONS);
      for (;;) {
        // The queue first, then the slice: what the source has brought back meanwhile is seen by then.
        await this.#drainQueue(signal);
        const gone = unseen.next().value;
        if (gone === undefined) break;
        for (const guid of gone) listing.settle(guid);
        await this.#send(
          gone.map((guid) => ({ kind: 'remove', dn: recipientDn(guid) })),
          listing.unseen + gone.length,
        );
      }
    }
    this.#listing = undefined;
    this.#complete = true;
    await this.#drainQueue(signal);
    await this.#send([], 0);
  }

  async #stream(signal: AbortSignal): Promise<void> {
    for (;;) {
      this.#report();
      await this.#nextBatch(signal);
    }
  }

  /** Waits for a batch (or the time to confirm) and sends it. */
  async #nextBatch(signal: AbortSignal): Promise<void> {
    let confirm = this.#confirmDue;
    if (this.#queue.isEmpty && !this.#queue.overflowed && !confirm) {
      confirm = await this.#waitForWork(signal);
      if (this.#lost !== undefined) throw this.#lost;
    }
    // With a batch goes a confirmation anyhow.
    await this.#drainQueue(signal);
    if (confirm || this.#confirmDue) await this.#confirm();
  }

  async #drainQueue(signal: AbortSignal): Promise<void> {
    while (!this.#queue.isEmpty || this.#queue.overflowed) {
      signal.throwIfAborted();
      if (this.#queue.overflowed)
        throw new PosternError(
          'sync.mismatch',
          'the edge is too slow for the changes; it will be compared as a whole',
        );
      const operations: WriteOperation[] = [];
      let planned = 0;
      let moved = false;
      // Batches are not divided: a position stands for whole ones only.
      do {
        const batch = this.#queue.shift();
        if (batch === undefined) break;
        for (const change of batch.changes) this.#apply(change, operations);
        moved ||= batch.position.sequence !== this.#position.sequence || this.#position.cookie === undefined;
        this.#position = batch.position;
        planned = Math.max(planned, batch.plannedRemovals);
      } while (operations.length < TRANSACTION_OPERATIONS);
      if (operations.length > 0 || (moved && this.#complete)) await this.#send(operations, planned);
    }
  }

  #apply(change: MirrorChange, operations: WriteOperation[]): void {
    const { guid, before, after } = change;
    if (before !== undefined)
      this.#sum.subtract(entryHash(this.#options.digestKey, guid, this.#attributes(before)));
    this.#listing?.settle(guid);
    this.#pushed++;
    if (after === undefined) {
      operations.push({ kind: 'remove', dn: recipientDn(guid) });
      return;
    }
    const attributes = this.#attributes(after);
    this.#sum.add(entryHash(this.#options.digestKey, guid, attributes));
    operations.push(putRecipient(guid, attributes));
  }

  #attributes(packed: Buffer) {
    return edgeAttributes(unpackRecipient(packed), this.#options.hash);
  }

  async #send(operations: readonly WriteOperation[], plannedRemovals: number): Promise<void> {
    const { mirror, epoch, lastConfirmed } = this.#options;
    const position = this.#position;
    const complete = this.#complete;
    const confirmed = complete ? lastConfirmed() : undefined;
    this.#confirmedSent = confirmed ?? this.#confirmedSent;
    const state = edgeStateChanges({
      loadState: complete ? 'complete' : 'loading',
      // While not complete the content is no position of the mirror: sequence 0 never is one.
      position: complete ? position : { ...position, sequence: 0 },
      digest: this.#sum,
      epoch,
      lastConfirmed: confirmed,
      plannedRemovals,
    });
    // What an edge is said to be in step with must be on our disk. Before that it stands for no position, and a hub that loses
    // some of it compares the edge as a whole anyway.
    if (complete) await mirror.flushed();
    this.#inFlight++;
    await this.#writer.send(
      [...operations, { kind: 'modify', dn: edgeStateDn('recipients'), changes: state }],
      () => {
        this.#inFlight--;
        if (complete) this.#settledPosition = position;
        this.#report();
      },
    );
  }

  async #confirm(): Promise<void> {
    // An incomplete walk tells it in the end by itself.
    this.#confirmDue = false;
    const confirmed = this.#options.lastConfirmed();
    if (this.#complete && confirmed !== undefined && confirmed !== this.#confirmedSent)
      await this.#send([], 0);
  }

  /** True when it is time to confirm, false when there is a batch. */
  #waitForWork(signal: AbortSignal): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const finish = (act: () => void): void => {
        timer.cancel();
        this.#wake = undefined;
        signal.removeEventListener('abort', onAbort);
        act();
      };
      const onAbort = (): void => finish(() => reject(signal.reason as Error));
      const timer = this.#options.clock.after('push.confirm', this.#options.confirmEveryMs, () =>
        finish(() => resolve(true)),
      );
      this.#wake = () => finish(() => resolve(false));
      signal.addEventListener('abort', onAbort, { once: true });
      if (signal.aborted) onAbort();
      if (this.#lost !== undefined) this.#wake();
    });
  }

  #signal(): void {
    this.#wake?.();
  }

  #report(): void {
    const { mirror, onProgress } = this.#options;
    const settled =
      this.#complete && this.#inFlight === 0 && this.#settledPosition?.sequence === mirror.position.sequence;
    onProgress({
      pushed: this.#pushed,
      total: mirror.position.cookie === undefined ? undefined : mirror.size,
      inStep: this.#complete,
      settled,
      settledSequence: this.#complete ? this.#settledPosition?.sequence : undefined,
    });
  }
}

/** Equal positions of the same mirror, and a load that was completed: only then does the stored digest speak for both sides. */
function isInStep(state: EdgeState, position: MirrorPosition): boolean {
  return (
    state.loadState === 'complete' &&
    state.mirrorId?.equals(position.mirrorId) === true &&
    state.sequence > 0 &&
    state.sequence === position.sequence
  );
}

const OBJECT_CLASS = { type: 'objectClass', values: [Buffer.from('posternRecipient')] };

function putRecipient(
  guid: Buffer,
  attributes: readonly { type: string; values: readonly Buffer[] }[],
): WriteOperation {
  return { kind: 'put', dn: recipientDn(guid), attributes: [OBJECT_CLASS, ...attributes] };
}
