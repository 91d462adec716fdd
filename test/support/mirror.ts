/** Events for a mirror in words, and a listener that knows what a pusher would know. */
import { expect } from 'vitest';
import type { RecordStore } from '../../src/directory/store/store.ts';
import type { Mapped } from '../../src/sync/mapping/mapping.ts';
import { Mirror } from '../../src/sync/mirror/mirror.ts';
import type { MirrorChange, MirrorPosition } from '../../src/sync/push/mirror-view.ts';
import { guidText } from '../../src/sync/recipient.ts';
import type { FeedEvent, SourceEntry } from '../../src/sync/source/source.ts';
import { FakeClock } from '../fakes/clock.ts';
import { fakeRandom } from '../fakes/random.ts';

/** In these tests an entry carries what it maps to: `kind=recipient|<reason>`, `address=...`, `dropped=n`. */
export interface Shape {
  readonly reason?: 'no-address' | 'left-out' | 'disabled' | undefined;
  readonly addresses: readonly string[];
  readonly dropped: number;
}

export const guid = (n: number): Buffer => {
  const bytes = Buffer.alloc(16);
  bytes.writeUInt32BE(n, 12);
  return bytes;
};

export const entry = (n: number, shape: Shape): SourceEntry => ({
  guid: guid(n),
  dn: JSON.stringify(shape),
  attributes: new Map(),
});

export function map({ dn }: SourceEntry): Mapped {
  const { reason, addresses, dropped } = JSON.parse(dn) as Shape;
  return reason === undefined
    ? { recipient: { kind: 'user', addresses }, dropped }
    : { recipient: undefined, reason, dropped };
}

export const upsert = (n: number, ...addresses: string[]): FeedEvent => ({
  kind: 'upsert',
  entry: entry(n, { addresses, dropped: 0 }),
});
export const leftOut = (n: number, dropped = 0): FeedEvent => ({
  kind: 'upsert',
  entry: entry(n, { reason: 'left-out', addresses: [], dropped }),
});
export const remove = (n: number): FeedEvent => ({ kind: 'delete', guid: guid(n) });
export const present = (...ns: number[]): FeedEvent => ({ kind: 'present', guids: ns.map(guid) });
export const complete = (sweep: boolean, cookie = 'c'): FeedEvent => ({
  kind: 'complete',
  sweep,
  cookie: Buffer.from(cookie),
});
export const position = (cookie: string): FeedEvent => ({ kind: 'position', cookie: Buffer.from(cookie) });

export const packCookie = (native: Buffer | undefined): Buffer =>
  Buffer.concat([Buffer.from('packed:'), native ?? Buffer.alloc(0)]);

export function openTestMirror(store: RecordStore, clock = new FakeClock(), seed = 'mirror'): Mirror {
  return new Mirror({ store, clock, random: fakeRandom(seed) });
}

/** What a pusher would know: the recipients, by the changes alone. */
export class Replica {
  readonly recipients = new Map<string, string>();
  readonly batches: { changes: readonly MirrorChange[]; position: MirrorPosition; planned: number }[] = [];
  readonly positions: MirrorPosition[] = [];

  constructor(mirror: Mirror) {
    mirror.visit(0, Number.POSITIVE_INFINITY, (_id, id, packed) => {
      this.recipients.set(guidText(id), packed.toString('latin1'));
    });
    mirror.subscribe(this);
  }

  onChanges(changes: readonly MirrorChange[], at: MirrorPosition, planned: number): void {
    expect(at.sequence).toBeGreaterThan(this.batches.at(-1)?.position.sequence ?? 0);
    this.batches.push({ changes, position: at, planned });
    for (const { guid: id, before, after } of changes) {
      const key = guidText(id);
      expect(before?.toString('latin1')).toBe(this.recipients.get(key));
      if (after === undefined) this.recipients.delete(key);
      else this.recipients.set(key, after.toString('latin1'));
    }
  }

  onPosition(at: MirrorPosition): void {
    this.positions.push(at);
  }

  removed(): number[] {
    return this.batches.flatMap(({ changes }) =>
      changes.filter(({ after }) => after === undefined).map(({ guid: id }) => id.readUInt32BE(12)),
    );
  }
}
