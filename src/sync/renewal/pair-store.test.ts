/** The pairs on the hub's disk: what was acknowledged is there, what cannot be read begins anew. */
import { describe, expect, it } from 'vitest';
import { FakeClock } from '../../../test/fakes/clock.ts';
import { FakeFiles } from '../../../test/fakes/files.ts';
import { fakeRandom } from '../../../test/fakes/random.ts';
import { type HubPair, newHubPair } from '../../credential/lifecycle/hub-pair.ts';
import { silentLog } from '../../base/log.ts';
import { decodePair, encodePair } from './pair-schema.ts';
import { openPairStore } from './pair-store.ts';

const FOLDER = '/var/lib/postern/hub/pairs';
const INSTANCE = '0123456789abcdef0123456789abcdef';
const options = (files: FakeFiles) => ({
  folder: FOLDER,
  files,
  clock: new FakeClock(),
  random: fakeRandom('pairs'),
  log: silentLog,
});
const pairOf = (counter: number): HubPair => ({
  ...newHubPair(INSTANCE, { number: 3, effectiveAt: 1000, expiresAt: 2000 }),
  counter,
  using: 3,
  warnings: { 'clock.skew': 'one says this' },
});
const lanes = [{ number: 3, madeAt: 900, effectiveAt: 1000, expiresAt: 2000 }];

describe('the store of pairs', () => {
  it('holds what was acknowledged after a loss of power, for every pair', async () => {
    for (let seed = 0; seed < 10; seed++) {
      const files = new FakeFiles();
      const store = await openPairStore(options(files));
      for (let call = 1; call <= 3; call++)
        await Promise.all(['edge1', 'edge2'].map((edge) => store.put({ edge, pair: pairOf(call), lanes })));
      await store.delete('EDGE2');
      await using again = await openPairStore(options(files.powerLoss({ seed: `${seed}` })));
      expect(again.get('Edge1')).toMatchObject({ edge: 'edge1', pair: pairOf(3), lanes });
      expect(again.edges).toEqual(['edge1']);
      expect(again.lastNumber('edge1')).toBe(3);
      expect([again.get('edge2'), again.lastNumber('edge2')]).toEqual([undefined, undefined]);
    }
  });

  it('begins anew, and says so, where its files are damaged', async () => {
    const files = new FakeFiles();
    const first = await openPairStore(options(files));
    await first.put({ edge: 'edge1', pair: pairOf(1), lanes });
    await first[Symbol.asyncDispose]();
    for (const name of await files.list(FOLDER)) {
      const file = await files.open(`${FOLDER}/${name}`, 'write');
      await file.write(Buffer.alloc(16, 7), 0);
      await file.close();
    }
    await using again = await openPairStore(options(files));
    expect(again.edges).toEqual([]);
    expect((await files.list(FOLDER)).some((name) => name.endsWith('.aside'))).toBe(true);
  });
});

describe('the document of a pair', () => {
  it('comes back as it was, and nothing else does', () => {
    const stored = { edge: 'edge1', pair: pairOf(7), lanes };
    expect(decodePair(encodePair(stored))).toEqual(stored);
    const text = encodePair(stored).toString();
    for (const wrong of [
      '',
      '{',
      '[]',
      text.replace('"version":1', '"version":2'),
      text.replace(INSTANCE, 'x'),
    ])
      expect(decodePair(Buffer.from(wrong))).toBeUndefined();
  });
});
