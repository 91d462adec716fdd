import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeClock } from '../../../test/fakes/clock.ts';
import { FRONT_END, policyOf } from '../../../test/support/ipsec-policy.ts';
import { until } from '../../../test/support/until.ts';
import { PosternError } from '../../base/error.ts';
import { systemFiles } from '../../base/files.ts';
import { silentLog } from '../../base/log.ts';
import { makeState } from '../../ipsec/state/policy-state.ts';
import type { Moment, TrialState } from '../../ipsec/trial/trial-machine.ts';
import type { IkeAssociation } from '../../vici/association.ts';
import { TrialKeeper } from './trial-keeper.ts';

const tried = makeState({ policy: policyOf(FRONT_END), keys: [], mechanism: 'nft' });
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'postern-keeper-'));
  await writeFile(join(folder, 'state.json'), JSON.stringify(tried));
});
afterEach(() => rm(folder, { recursive: true }));

const associations = tried.connections.map(
  ({ name }) =>
    ({
      connection: name,
      children: [{ state: 'INSTALLED', mode: 'TRANSPORT', usedInSeconds: 1 }],
    }) as unknown as IkeAssociation,
);

/** Looks three times; what it confirmed. */
async function keep(
  touchesOperator: boolean,
  seen: readonly IkeAssociation[],
  look?: () => Promise<never>,
): Promise<unknown[]> {
  const clock = new FakeClock();
  const confirmed: unknown[] = [];
  let looks = 0;
  const trial = { id: 't', policy: 'p', bootId: 'b', appliedAt: 100, deadline: 160, touchesOperator };
  const now: Moment = { bootId: 'b', seconds: 120 };
  const state: TrialState = { phase: 'trying', trial };
  const keeper = new TrialKeeper({
    trials: {
      look: () => {
        looks += 1;
        return look?.() ?? Promise.resolve({ state, now });
      },
      confirm: (confirmation) => Promise.resolve(void confirmed.push(confirmation)),
    },
    folder,
    charon: () => ({ associations: seen, lastLook: clock.now() }),
    files: systemFiles,
    clock,
    log: silentLog,
  });
  keeper.start();
  for (let round = 1; round <= 3; round++) {
    await clock.armed('ipsec.trial');
    await clock.advance(1000);
    await until(
      'it has looked',
      () => looks,
      (count) => count === round,
    );
  }
  await keeper.stop();
  return confirmed;
}

describe('a policy on trial, while the daemon runs', () => {
  it('is confirmed when every peer has proved it', async () => {
    expect((await keep(false, associations))[0]).toEqual({ by: 'peer' });
  });

  it.each([
    ["it touches the operator's session", true, associations],
    ['one peer is silent', false, associations.slice(1)],
    ['charon tells of none', false, []],
  ])('is not when %s', async (_name, touches, seen) => {
    expect(await keep(touches, seen)).toEqual([]);
  });

  it('is looked after again when a look fails', async () => {
    const failing = (): Promise<never> => Promise.reject(new PosternError('ipsec.trial', 'damaged'));
    expect(await keep(false, associations, failing)).toEqual([]);
  });
});
