/** What a hub can make the edge write by asking for the lease. */
import { expect, it } from 'vitest';
import { FakeClock } from '../../../test/fakes/clock.ts';
import { fakeRandom } from '../../../test/fakes/random.ts';
import { silentLog } from '../../base/log.ts';
import type { TrustStore } from '../../certificate/trust-store.ts';
import { Refusal, Session } from '../../directory/directory.ts';
import { encodeLeaseRequest, type LeaseAction } from '../../ldap/postern-extended.ts';
import { RESULT_CODE } from '../../ldap/result-code.ts';
import type { EdgeTrustState } from '../../subscription/trust-state.ts';
import { LEASE_REQUESTS, LeaseService } from './lease-service.ts';

/** Counts writes. */
function countingTrust(): TrustStore<EdgeTrustState> & { writes: number } {
  let value = { lease: { epoch: 0, holder: '', expiresAt: 0 } } as EdgeTrustState;
  return {
    writes: 0,
    get value() {
      return value;
    },
    repaired: [],
    async update(change) {
      this.writes++;
      value = change(structuredClone(value));
    },
    async close() {},
  };
}

it('a hub that asks without end costs so many writes at once, then one a second, on however many connections; others are served', async () => {
  const clock = new FakeClock();
  const trust = countingTrust();
  const lease = new LeaseService({ trust, clock, random: fakeRandom(), log: silentLog });
  const ask = async (
    hub: string,
    action: LeaseAction,
    session = new Session({ kind: 'tls' }),
  ): Promise<number> => {
    const value = encodeLeaseRequest({ action, holder: hub, durationSeconds: 1 });
    try {
      return (await lease.handle(value, session, hub)).result.code;
    } catch (error) {
      if (error instanceof Refusal) return error.result.code;
      throw error;
    }
  };
  const greedy = new Session({ kind: 'tls' });
  const answers: number[] = [];
  for (let n = 0; n < 500; n++)
    answers.push(
      await ask(
        'greedy',
        n % 2 === 0 ? 'acquire' : 'renew',
        n % 3 === 0 ? new Session({ kind: 'tls' }) : greedy,
      ),
    );
  expect(answers.filter((code) => code === RESULT_CODE.success).length).toBe(LEASE_REQUESTS.atOnce);
  expect(answers.slice(LEASE_REQUESTS.atOnce).every((code) => code === RESULT_CODE.busy)).toBe(true);
  expect(trust.writes).toBeLessThanOrEqual(LEASE_REQUESTS.atOnce);
  expect(await ask('other', 'acquire')).toBe(RESULT_CODE.success);
  expect(await ask('greedy', 'release', greedy)).toBe(RESULT_CODE.success);
  await clock.advance(2000);
  const later = [
    await ask('greedy', 'acquire'),
    await ask('greedy', 'acquire'),
    await ask('greedy', 'acquire'),
  ];
  expect(later).toEqual([RESULT_CODE.success, RESULT_CODE.success, RESULT_CODE.busy]);
});
