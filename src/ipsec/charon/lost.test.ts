import { expect, it } from 'vitest';
import { childAssociation, ikeAssociation } from '../../../test/support/charon-state.ts';
import { CONNECTION } from '../../../test/support/desired-state.ts';
import type { IkeAssociation } from '../../vici/association.ts';
import type { KernelState } from './kernel.ts';
import { lostAssociations } from './lost.ts';

const CHILD = `${CONNECTION}-passwords`;
const up = ikeAssociation(CONNECTION, [childAssociation(CHILD)]);
const ending = ikeAssociation(CONNECTION, [childAssociation(CHILD, { state: 'DELETING' })]);
const spis = up.children.flatMap(({ spiIn, spiOut }) => [spiIn, spiOut]);

function held(...some: string[]): KernelState {
  const association = { source: '10.66.0.1', destination: '10.66.0.2', protocol: 'esp', mode: 'transport' };
  return { associations: some.map((spi) => ({ ...association, spi, keyed: true })), policies: [] };
}

it.each<[string, readonly IkeAssociation[], KernelState | undefined, readonly IkeAssociation[], boolean]>([
  ['all there', [up], held(...spis), [up], false],
  ['all gone', [up], held(), [up], true],
  ['one direction gone', [up], held(spis[0] ?? ''), [up], true],
  ['made since the kernel was read', [], held(), [up], false],
  ['ended since', [up], held(), [], false],
  ['being ended', [up], held(), [ending], false],
  ['the kernel was not read', [up], undefined, [up], false],
])('%s', (_name, before, kernel, after, isLost) => {
  expect([...lostAssociations(before, kernel, after)]).toEqual(isLost ? [up.id] : []);
});
