import { expect, test } from 'vitest';
import { FakeClock } from '../../../test/fakes/clock.ts';
import { FakeFiles } from '../../../test/fakes/files.ts';
import { fakeRandom } from '../../../test/fakes/random.ts';
import { createLog } from '../../base/log.ts';
import { openStore } from '../../directory/store/store.ts';
import { openMirror, type OpenMirrorOptions } from './open-mirror.ts';

const guid = Buffer.alloc(16, 7);

function options(files = new FakeFiles()): OpenMirrorOptions & { files: FakeFiles; lines: string[] } {
  const lines: string[] = [];
  const clock = new FakeClock();
  const log = createLog({ clock, write: (line) => void lines.push(line) });
  return { folder: '/data/mirror', files, clock, random: fakeRandom(), log, lines };
}

async function fill(given: OpenMirrorOptions): Promise<void> {
  await using mirror = await openMirror(given);
  const pass = await mirror.begin({
    map: () => ({ recipient: { kind: 'user', addresses: ['a@x'] }, dropped: 0 }),
    packCookie: (native) => native ?? Buffer.alloc(0),
  });
  await pass.apply([
    { kind: 'upsert', entry: { guid, dn: '', attributes: new Map() } },
    { kind: 'complete', sweep: true, cookie: Buffer.from('cookie') },
  ]);
}

test('what was applied is there again', async () => {
  const given = options();
  await fill(given);
  await using mirror = await openMirror(given);
  expect([mirror.size, mirror.cookie?.toString(), mirror.current]).toEqual([1, 'cookie', false]);
  expect(mirror.get(guid)?.addresses).toEqual(['a@x']);
  expect(given.lines).toEqual([]);
});

test('records and position survive a loss of power together', async () => {
  for (let step = 0; ; step++) {
    const given = options();
    given.files.powerOffAtStep(step);
    const finished = await fill(given).then(
      () => true,
      () => false,
    );
    for (const seed of ['a', 'b', 'c']) {
      await using mirror = await openMirror(options(given.files.powerLoss({ seed })));
      if (mirror.cookie !== undefined) expect(mirror.get(guid)?.addresses).toEqual(['a@x']);
      if (finished) expect(mirror.cookie?.toString()).toBe('cookie');
    }
    if (finished) break;
  }
});

test('damaged files are put aside, and said so', async () => {
  const given = options();
  await fill(given);
  const journal = (await given.files.list(given.folder)).find((name) => name.startsWith('journal'));
  given.files.flipBit(`/data/mirror/${journal}`, 8 * 20);
  const again = options(given.files);
  await using mirror = await openMirror(again);
  expect([mirror.size, mirror.cookie]).toEqual([0, undefined]);
  expect(again.lines.join('')).toContain('begins empty');
  expect(await given.files.list(given.folder)).toContain(`${journal}.aside`);
});

test('files of another store are put aside', async () => {
  const given = options();
  const { folder, files, clock, random } = given;
  const store = await openStore({ folder, files, clock, random });
  const batch = store.begin();
  batch.add(Buffer.from('an entry of a directory'));
  await batch.commit();
  await store.close();
  await using mirror = await openMirror(given);
  expect(mirror.size).toBe(0);
  expect(given.lines.join('')).toContain('something else');
});

test('a disk that cannot be written to is an error, not a reason to begin anew', async () => {
  const given = options();
  await fill(given);
  given.files.fail({ on: 'read', code: 'EIO', times: 100 });
  await expect(openMirror(given)).rejects.toMatchObject({ code: expect.not.stringMatching('store.damaged') });
  given.files.heal();
  await using mirror = await openMirror(given);
  expect(mirror.size).toBe(1);
});
