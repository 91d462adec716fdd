import { describe, expect, test } from 'vitest';
import { createMemoryStore } from './store.ts';

const view = { buffer: Buffer.alloc(0), start: 0, end: 0 };

describe('a store in memory', () => {
  test('records are added, replaced, deleted, and seen at once', async () => {
    const store = createMemoryStore();
    const batch = store.begin();
    const id = batch.add(Buffer.from('one'));
    const other = batch.add(Buffer.from('xxtwoxx'), 2, 5);
    expect(store.read(other, view)).toBe(true);
    expect(view.buffer.toString('latin1', view.start, view.end)).toBe('two');
    batch.put(id, Buffer.from('uno'));
    batch.delete(other);
    batch.setMeta('cookie', Buffer.from('c1'));
    await batch.commit();
    expect([store.size, store.has(id), store.has(other), store.getMeta('cookie')?.toString()]).toEqual([
      1,
      true,
      false,
      'c1',
    ]);
  });

  test('a rolled-back batch leaves nothing', () => {
    const store = createMemoryStore();
    const first = store.begin();
    const id = first.add(Buffer.from('one'));
    first.setMeta('a', Buffer.from('1'));
    first.commit(() => {});
    const second = store.begin();
    second.put(id, Buffer.from('changed'));
    second.delete(id);
    second.add(Buffer.from('new'));
    second.setMeta('a', undefined);
    second.setMeta('b', Buffer.from('2'));
    second.rollback();
    expect(store.size).toBe(1);
    // Its record number is free again.
    const third = store.begin();
    expect(third.add(Buffer.from('third'))).toBe(2);
    third.rollback();
    expect(store.metaNames()).toEqual(['a']);
    store.read(id, view);
    expect(view.buffer.toString('latin1', view.start, view.end)).toBe('one');
  });

  test('a second open batch, an unknown record, a record that is too long are refused', () => {
    const store = createMemoryStore({ slabBytes: 4096 });
    const batch = store.begin();
    expect(() => store.begin()).toThrow(expect.objectContaining({ code: 'internal' }));
    expect(() => batch.put(7, Buffer.from('x'))).toThrow(expect.objectContaining({ code: 'internal' }));
    expect(() => batch.add(Buffer.alloc(4096))).toThrow(expect.objectContaining({ code: 'usage' }));
    batch.commit(() => {});
    expect(() => batch.delete(1)).toThrow(expect.objectContaining({ code: 'internal' }));
  });
});
