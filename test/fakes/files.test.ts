import { expect, test } from 'vitest';
import { replaceFile } from '../../src/base/files.ts';
import { FakeFiles } from './files.ts';

const text = (files: FakeFiles, path: string): string | undefined => files.peek(path)?.toString();

async function fresh(): Promise<FakeFiles> {
  const files = new FakeFiles();
  await files.makeFolder('/data');
  return files;
}

test('a write is seen at once and survives only after datasync and syncFolder', async () => {
  const files = await fresh();
  const file = await files.open('/data/a', 'create');
  await file.write(Buffer.from('one'), 0);
  expect(text(files, '/data/a')).toBe('one');
  expect(text(files.powerLoss({ unsynced: 'dropped' }), '/data/a')).toBe(undefined);

  const synced = await fresh();
  const other = await synced.open('/data/a', 'create');
  await other.write(Buffer.from('one'), 0);
  await other.datasync();
  await synced.syncFolder('/data');
  await other.write(Buffer.from('two'), 0);
  expect(text(synced.powerLoss({ unsynced: 'dropped' }), '/data/a')).toBe('one');
  expect(text(synced.powerLoss({ unsynced: 'kept' }), '/data/a')).toBe('two');
  await expect(other.write(Buffer.from('x'), 0)).rejects.toThrow('power is off');
  await expect(synced.readFile('/data/a')).rejects.toThrow('power is off');
});

test('a name without its data gives an empty file; data without its name is gone', async () => {
  const files = await fresh();
  const file = await files.open('/data/a', 'create');
  await file.write(Buffer.from('one'), 0);
  await files.syncFolder('/data');
  expect(text(files.powerLoss({ unsynced: 'dropped' }), '/data/a')).toBe('');
});

test('replaceFile leaves the old or the new content at every step, never a mixture; without the flush it would not', async () => {
  const outcomes = new Set<string | undefined>();
  for (let step = 0; ; step++) {
    const files = await fresh();
    await replaceFile(files, '/data/a', Buffer.from('old'));
    files.powerOffAtStep(files.steps + step);
    const finished = await replaceFile(files, '/data/a', Buffer.from('new')).then(
      () => true,
      () => false,
    );
    for (let seed = 0; seed < 20; seed++) {
      const content = text(files.powerLoss({ seed: `${seed}` }), '/data/a');
      outcomes.add(content);
      if (finished) expect(content).toBe('new');
    }
    if (finished) break;
  }
  expect([...outcomes].sort()).toEqual(['new', 'old']);

  const careless = new Set<string | undefined>();
  for (let seed = 0; seed < 60; seed++) {
    const files = await fresh();
    await replaceFile(files, '/data/a', Buffer.from('old'));
    const file = await files.open('/data/b', 'create');
    await file.write(Buffer.from('new'), 0);
    await files.rename('/data/b', '/data/a');
    await files.syncFolder('/data');
    careless.add(text(files.powerLoss({ seed: `${seed}` }), '/data/a'));
  }
  expect(careless).toContain('');
});

test('torn writes leave sectors of both kinds', async () => {
  const seen = new Set<string>();
  const files = await fresh();
  files.put('/data/a', Buffer.alloc(2048, 'a'));
  const file = await files.open('/data/a', 'write');
  await file.write(Buffer.alloc(2048, 'b'), 0);
  for (let seed = 0; seed < 200; seed++)
    seen.add(text(files.powerLoss({ seed: `${seed}` }), '/data/a') ?? '');
  const mixed = [...seen].filter((content) => content.includes('a') && content.includes('b'));
  expect(mixed.length).toBeGreaterThan(5);
  expect(seen).toContain('a'.repeat(2048));
  expect(seen).toContain('b'.repeat(2048));
});

test('planned faults: nth, times, path, partial write, lying flush', async () => {
  const files = await fresh();
  const file = await files.open('/data/a', 'create');
  await files.syncFolder('/data');
  files.fail({ on: 'write', code: 'ENOSPC', nth: 2, done: 1 });
  await file.write(Buffer.from('one'), 0);
  await expect(file.write(Buffer.from('two'), 3)).rejects.toMatchObject({ code: 'ENOSPC' });
  expect(text(files, '/data/a')).toBe('onet');
  files.fail({ on: 'datasync', code: 'EIO', path: '/b' });
  files.fail({ on: 'datasync', code: 'EIO', path: '/a' });
  await expect(file.datasync()).rejects.toMatchObject({ code: 'EIO' });
  await file.datasync();
  expect(text(files, '/data/a')).toBe('onet');
  expect(text(files.powerLoss({ unsynced: 'kept' }), '/data/a')).toBe('');
});

test('a bit flip, lists, errors of names', async () => {
  const files = await fresh();
  files.put('/data/sub/a', Buffer.from('a'));
  files.flipBit('/data/sub/a', 1);
  expect(text(files, '/data/sub/a')).toBe('c');
  expect(text(files.powerLoss(), '/data/sub/a')).toBe('c');
  const again = await fresh();
  again.put('/data/sub/a', Buffer.from('a'));
  expect(await again.list('/data')).toEqual(['sub']);
  await expect(again.open('/data/sub/a', 'create')).rejects.toMatchObject({ code: 'EEXIST' });
  await expect(again.open('/data/x', 'read')).rejects.toMatchObject({ code: 'ENOENT' });
  await expect(again.open('/none/x', 'create')).rejects.toMatchObject({ code: 'ENOENT' });
  await again.remove('/data/missing');
});
