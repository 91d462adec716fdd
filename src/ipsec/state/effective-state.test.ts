import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeClock } from '../../../test/fakes/clock.ts';
import { BACK_END, FRONT_END, policyOf } from '../../../test/support/ipsec-policy.ts';
import { until } from '../../../test/support/until.ts';
import { systemFiles } from '../../base/files.ts';
import { followEffective, readEffective, type StateFolders, trialFolder } from './effective-state.ts';
import { desiredOf, makeState, type PolicyState } from './policy-state.ts';

const stateOf = (toml: string): PolicyState =>
  makeState({ policy: policyOf(toml), keys: [], mechanism: 'nft' });
const [FIRST, SECOND] = [stateOf(FRONT_END), stateOf(BACK_END)];
let top: string;
let folders: StateFolders;
beforeEach(async () => {
  top = await mkdtemp(join(tmpdir(), 'postern-state-'));
  folders = { confirmed: join(top, 'etc'), run: join(top, 'run') };
  await mkdir(folders.confirmed);
  await mkdir(folders.run);
});
afterEach(() => rm(top, { recursive: true }));

const confirm = (state: PolicyState): Promise<void> =>
  writeFile(join(folders.confirmed, 'state.json'), JSON.stringify(state));
/** By one rename, as apply does it. */
async function put(state: PolicyState): Promise<void> {
  await mkdir(join(folders.run, 'trial-new'));
  await writeFile(join(folders.run, 'trial-new/state.json'), JSON.stringify(state));
  await rename(join(folders.run, 'trial-new'), trialFolder(folders));
}

describe('the policy in force', () => {
  it('is the one on trial, else the confirmed one, else none', async () => {
    expect(await readEffective(systemFiles, folders)).toMatchObject({ origin: 'none', state: undefined });
    await confirm(FIRST);
    expect(await readEffective(systemFiles, folders)).toMatchObject({ origin: 'confirmed', state: FIRST });
    await put(SECOND);
    expect(await readEffective(systemFiles, folders)).toMatchObject({ origin: 'trial', state: SECOND });
  });

  it('is followed, by the clock alone too, and told only when it has changed', async () => {
    const clock = new FakeClock();
    const told: string[] = [];
    const faults: unknown[] = [];
    const next = async (wanted: string): Promise<void> => {
      await until(
        wanted,
        async () => {
          await clock.armed('ipsec.effective');
          await clock.advance(1000);
          return told.join(' ');
        },
        (text) => text === wanted,
      );
    };
    const { stop } = followEffective(
      { files: systemFiles, folders, clock },
      ({ origin }) => told.push(origin),
      (error) => faults.push(error),
    );
    await next('none');
    await confirm(FIRST);
    await next('none confirmed');
    await put(SECOND);
    await next('none confirmed trial');
    await rm(trialFolder(folders), { recursive: true });
    await next('none confirmed trial confirmed');
    await writeFile(join(folders.confirmed, 'state.json'), '{');
    await until(
      'the fault',
      () => clock.advance(1000).then(() => faults.length),
      (count) => count > 0,
    );
    stop();
    expect(told).toHaveLength(4);
  });

  it('names keys by their files, and has them when they are needed', async () => {
    const file = join(top, 'key.pem');
    const state = makeState({ policy: policyOf(FRONT_END), keys: [{ keyId: 'k', file }], mechanism: 'nft' });
    await expect(desiredOf(systemFiles, state)).rejects.toMatchObject({ code: 'file.unreadable' });
    await writeFile(file, 'PEM');
    const { keys } = await desiredOf(systemFiles, state);
    expect(keys.map(({ keyId, privateKey }) => [keyId, privateKey.revealText()])).toEqual([['k', 'PEM']]);
    expect(JSON.stringify(state)).not.toContain('PRIVATE');
    expect((await desiredOf(systemFiles, undefined)).connections).toEqual([]);
  });
});
