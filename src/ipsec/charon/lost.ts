/**
 * Associations that charon believes in and the kernel has no more, because somebody deleted them there (`ip xfrm state flush`): traffic stops at them, no
 * trap is sprung, and charon itself never notices. Pure.
 */
import type { IkeAssociation } from '../../vici/association.ts';
import type { KernelState } from './kernel.ts';

/**
 * Ids of the IKE_SAs with such a child. It must have stood in the look before the kernel was read and in the one after: what is being made or
 * rekeyed is in one of them only.
 */
export function lostAssociations(
  before: readonly IkeAssociation[],
  kernel: KernelState | undefined,
  after: readonly IkeAssociation[],
): ReadonlySet<number> {
  if (kernel === undefined) return new Set();
  const stood = new Set(before.flatMap(installed));
  const held = new Set(kernel.associations.map(({ spi }) => spi));
  const isLost = (spi: string): boolean => stood.has(spi) && !held.has(spi);
  return new Set(after.filter((association) => installed(association).some(isLost)).map(({ id }) => id));
}

/** SPIs of the children that carry traffic. */
function installed({ children }: IkeAssociation): string[] {
  return children
    .filter(({ state }) => state === 'INSTALLED')
    .flatMap(({ spiIn, spiOut }) => [spiIn, spiOut]);
}
