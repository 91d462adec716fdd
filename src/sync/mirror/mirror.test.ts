import { describe, expect, test } from 'vitest';
import { FakeClock } from '../../../test/fakes/clock.ts';
import {
  guid,
  map,
  upsert,
  leftOut,
  remove,
  present,
  complete,
  position,
  packCookie,
  openTestMirror,
  Replica,
} from '../../../test/support/mirror.ts';
import { createMemoryStore } from '../../directory/store/store.ts';
import { guidText, unpackRecipient } from '../recipient.ts';
import { PATIENCE_MS } from './pace.ts';

describe('mirror', () => {
  test('a first pass, changes afterwards, and the position', async () => {
    const mirror = openTestMirror(createMemoryStore());
    const replica = new Replica(mirror);
    expect([mirror.size, mirror.current, mirror.cookie, mirror.position.sequence]).toEqual([
      0,
      false,
      undefined,
      0,
    ]);
    const pass = await mirror.begin({ map, packCookie });
    await pass.apply([upsert(1, 'a@x'), upsert(2, 'b@x', 'c@x'), leftOut(3, 2)]);
    expect([mirror.size, mirror.current, mirror.cookie]).toEqual([2, false, undefined]);
    await pass.apply([complete(true, 'c1')]);
    expect([mirror.current, mirror.cookie?.toString()]).toEqual([true, 'packed:c1']);
    expect(mirror.counts).toEqual({
      entries: 3,
      recipients: 2,
      leftOut: { 'no-address': 0, 'left-out': 1, disabled: 0 },
      droppedAddresses: 2,
    });
    expect(mirror.get(guid(2))).toEqual({ kind: 'user', addresses: ['b@x', 'c@x'] });
    expect(mirror.get(guid(3))).toBe(undefined);
    const { sequence } = mirror.position;
    await pass.apply([upsert(1, 'a@x'), upsert(3, 'd@x'), remove(2), position('c2')]);
    expect(mirror.position).toEqual({
      mirrorId: mirror.position.mirrorId,
      sequence: sequence + 1,
      cookie: Buffer.from('packed:c2'),
    });
    expect(
      replica.batches.at(-1)?.changes.map((c) => [c.guid.readUInt32BE(12), c.after === undefined]),
    ).toEqual([
      [3, false],
      [2, true],
    ]);
    await pass.apply([upsert(1, 'a@x'), position('c3')]);
    expect([mirror.position.sequence, replica.positions.at(-1)?.cookie?.toString()]).toEqual([
      sequence + 1,
      'packed:c3',
    ]);
    expect(mirror.counts.droppedAddresses).toBe(0);
  });

  test('nothing is removed before the refresh is complete, then all together and announced', async () => {
    const mirror = openTestMirror(createMemoryStore());
    const first = await mirror.begin({ map, packCookie });
    const all = Array.from({ length: 5000 }, (_, n) => upsert(n, `u${n}@x`));
    await first.apply([...all, leftOut(9000), complete(true, 'c1')]);
    const replica = new Replica(mirror);

    const cut = await mirror.begin({ map, packCookie });
    await cut.apply([upsert(1, 'new@x'), remove(2), leftOut(3), present(4)]);
    expect([replica.removed(), mirror.size, mirror.cookie?.toString()]).toEqual([[], 5000, 'packed:c1']);

    const pass = await mirror.begin({ map, packCookie });
    await pass.apply([remove(7), upsert(8, 'u8@x'), leftOut(9, 1), present(10, 11), remove(9000)]);
    await pass.apply([remove(12), upsert(12, 'back@x'), leftOut(13), upsert(13, 'u13@x')]);
    expect(replica.removed()).toEqual([]);
    await pass.apply([complete(true, 'c2')]);
    expect(mirror.size).toBe(5);
    expect([...replica.recipients.keys()].sort()).toEqual([8, 10, 11, 12, 13].map((n) => guidText(guid(n))));
    const removals = replica.batches.filter(({ planned }) => planned > 0);
    expect(removals.map(({ planned }) => planned)).toEqual([4995, 2995, 995]);
    expect(removals.map(({ position: at }) => at.cookie?.toString())).toEqual(Array(3).fill('packed:c1'));
    expect(mirror.counts.leftOut['left-out']).toBe(1);
    expect(mirror.counts.droppedAddresses).toBe(1);
    expect(mirror.counts.entries).toBe(6);
  });

  test('without a sweep only what was said to be gone goes', async () => {
    const mirror = openTestMirror(createMemoryStore());
    const first = await mirror.begin({ map, packCookie });
    await first.apply([upsert(1, 'a@x'), upsert(2, 'b@x'), upsert(3, 'c@x'), complete(true)]);
    const replica = new Replica(mirror);
    const pass = await mirror.begin({ map, packCookie });
    await pass.apply([remove(1), leftOut(2), complete(false, 'd')]);
    expect(replica.removed().sort()).toEqual([1, 2]);
    expect(replica.batches.map(({ planned }) => planned)).toEqual([2]);
    expect(mirror.size).toBe(1);
  });

  test('a restart begins with nothing seen', async () => {
    const mirror = openTestMirror(createMemoryStore());
    const first = await mirror.begin({ map, packCookie });
    await first.apply([upsert(1, 'a@x'), upsert(2, 'b@x'), complete(true)]);
    const pass = await mirror.begin({ map, packCookie });
    await pass.apply([present(1), remove(2), { kind: 'restart' }, upsert(2, 'b@x'), complete(true, 'e')]);
    expect([mirror.get(guid(1)), mirror.get(guid(2))?.addresses]).toEqual([undefined, ['b@x']]);
  });

  test('an entry may be named before it is delivered; one that never comes makes the cookie worthless', async () => {
    const store = createMemoryStore();
    const mirror = openTestMirror(store);
    const first = await mirror.begin({ map, packCookie });
    await first.apply([upsert(1, 'a@x'), upsert(5, 'e@x'), complete(true)]);
    const pass = await mirror.begin({ map, packCookie });
    await pass.apply([present(1, 2, 3), upsert(2, 'b@x'), leftOut(3)]);
    await pass.apply([complete(true, 'c2')]);
    expect([mirror.size, mirror.counts.entries, mirror.cookie?.toString()]).toEqual([2, 3, 'packed:c2']);

    const cut = await mirror.begin({ map, packCookie });
    await cut.apply([present(1, 2, 3, 4, 6)]);
    expect([mirror.size, mirror.counts.entries]).toEqual([2, 3]);
    const again = openTestMirror(store);
    const next = await again.begin({ map, packCookie });
    await expect(next.apply([remove(6), present(2, 3), complete(false, 'c3')])).rejects.toMatchObject({
      code: 'source.incomplete',
      fields: { entries: 1 },
    });
    // Nothing is removed on such an answer.
    expect([again.cookie, again.size, again.get(guid(1))?.addresses]).toEqual([undefined, 2, ['a@x']]);
    const full = await again.begin({ map, packCookie });
    await full.apply([upsert(4, 'd@x'), upsert(2, 'b@x'), complete(true, 'c4')]);
    expect([again.size, again.counts.entries, again.cookie?.toString()]).toEqual([2, 2, 'packed:c4']);
    await full.apply([present(77), position('c5')]);
    expect(again.cookie?.toString()).toBe('packed:c5');
  });

  test('a pass that is over changes nothing; a cookie of other circumstances is forgotten', async () => {
    const mirror = openTestMirror(createMemoryStore());
    const first = await mirror.begin({ map, packCookie });
    await first.apply([upsert(1, 'a@x'), complete(true)]);
    const second = await mirror.begin({ map, packCookie }, true);
    expect(mirror.cookie).toBe(undefined);
    await expect(first.apply([remove(1)])).rejects.toMatchObject({ code: 'canceled' });
    await second.apply([complete(false, 'n')]);
    expect([mirror.size, mirror.cookie?.toString()]).toEqual([1, 'packed:n']);
  });

  test('a store that holds something else is refused', () => {
    const store = createMemoryStore();
    const batch = store.begin();
    batch.add(Buffer.from('something else'));
    batch.commit(() => {});
    expect(() => openTestMirror(store)).toThrow(expect.objectContaining({ code: 'store.damaged' }));
    const other = createMemoryStore();
    openTestMirror(other);
    const more = other.begin();
    more.add(Buffer.alloc(16));
    more.commit(() => {});
    expect(() => openTestMirror(other)).toThrow(expect.objectContaining({ code: 'store.damaged' }));
  });

  test('after a start, the position stands until a batch leaps ahead of what could have been before', async () => {
    const store = createMemoryStore();
    const mirror = openTestMirror(store);
    const pass = await mirror.begin({ map, packCookie });
    await pass.apply([upsert(1, 'a@x'), complete(true)]);
    const again = openTestMirror(store, new FakeClock(), 'other');
    expect([again.position, again.current]).toEqual([mirror.position, false]);
    const more = await again.begin({ map, packCookie });
    await more.apply([complete(false)]);
    expect([again.position, again.current]).toEqual([mirror.position, true]);
    await more.apply([upsert(2, 'b@x')]);
    expect(again.position.sequence).toBeGreaterThan(mirror.position.sequence + 1);
  });

  test('a listener without room holds the feed back, but not for long', async () => {
    const clock = new FakeClock();
    const mirror = openTestMirror(createMemoryStore(), clock);
    let room = Promise.withResolvers<void>();
    let full = true;
    let heard = 0;
    mirror.subscribe({
      onChanges: () => void heard++,
      onPosition: () => {},
      room: () => (full ? room.promise : undefined),
    });
    const pass = await mirror.begin({ map, packCookie });
    const first = pass.apply([upsert(1, 'a@x')]);
    await clock.armed('mirror.pace');
    expect(heard).toBe(1);
    room.resolve();
    await first;
    room = Promise.withResolvers<void>();
    const second = pass.apply([upsert(2, 'a@x')]);
    await clock.armed('mirror.pace');
    await clock.advance(PATIENCE_MS);
    await second;
    // Given up: not waited for again until it has had room.
    await pass.apply([upsert(3, 'a@x')]);
    full = false;
    await pass.apply([upsert(4, 'a@x')]);
    full = true;
    const last = pass.apply([upsert(5, 'a@x')]);
    await clock.armed('mirror.pace');
    room.resolve();
    await last;
    expect(heard).toBe(5);
  });

  test('a very long recipient, and recipients visited in slices', async () => {
    const mirror = openTestMirror(createMemoryStore());
    const many = Array.from({ length: 4096 }, (_, n) => `${'ü'.repeat(50)}${n}@example.org`).sort();
    const pass = await mirror.begin({ map, packCookie });
    await pass.apply([upsert(1, ...many), leftOut(2), upsert(3, 'c@x'), leftOut(4), complete(true)]);
    expect(mirror.get(guid(1))?.addresses).toEqual(many);
    const seen: number[] = [];
    let from: number | undefined = 0;
    for (let rounds = 0; from !== undefined; rounds++) {
      expect(rounds).toBeLessThan(6);
      from = mirror.visit(from, 1, (_id, id, packed) => {
        seen.push(id.readUInt32BE(12));
        expect(unpackRecipient(packed).kind).toBe('user');
      });
    }
    expect(seen).toEqual([1, 3]);
  });
});
