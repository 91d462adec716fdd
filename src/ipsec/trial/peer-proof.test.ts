import { describe, expect, it } from 'vitest';
import { FRONT_END, policyOf } from '../../../test/support/ipsec-policy.ts';
import type { ChildAssociation, IkeAssociation } from '../../vici/association.ts';
import { makeState } from '../state/policy-state.ts';
import { unproved } from './peer-proof.ts';

const state = makeState({ policy: policyOf(FRONT_END), keys: [], mechanism: 'nft' });
const [V4 = '', V6 = ''] = state.connections.map(({ name }) => name);
/** The fields that are looked at. */
const association = (connection: string, child: Partial<ChildAssociation>): IkeAssociation =>
  ({
    connection,
    children: [{ state: 'INSTALLED', mode: 'TRANSPORT', usedInSeconds: 3, ...child }],
  }) as unknown as IkeAssociation;
const ask = (associations: IkeAssociation[], appliedSecondsAgo = 20, ageSeconds = 0): string[] =>
  unproved(state, associations, { appliedSecondsAgo, ageSeconds });

describe('the peer proves a policy on trial', () => {
  it('by packets through every connection', () => {
    expect(ask([association(V4, {}), association(V6, {})])).toEqual([]);
    expect(ask([association(V4, {})])).toEqual([V6]);
    expect(ask([])).toEqual([V4, V6]);
  });

  it.each<[string, Partial<ChildAssociation>, number, number]>([
    ['no packet came', { usedInSeconds: undefined }, 20, 0],
    ['it came before', { usedInSeconds: 30 }, 20, 0],
    ['it may have come before, by the second', { usedInSeconds: 20 }, 20, 0],
    ['it may have come before, by the age of what is known', { usedInSeconds: 12 }, 20, 9],
    ['it is a tunnel', { mode: 'TUNNEL' }, 20, 0],
    ['it is being made', { state: 'CREATED' }, 20, 0],
    ['it is going', { state: 'DELETING' }, 20, 0],
  ])('and not when %s', (_name, child, ago, age) => {
    expect(ask([association(V4, child), association(V6, {})], ago, age)).toContain(V4);
  });
});
