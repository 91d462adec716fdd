/**
 * What a charon that was killed left in the kernel between pairs of ours: associations that nobody renews or ends (and that keep traps from being
 * sprung), policies that ask for them. Pure. Whatever charon knows, whoever had it loaded, is not a leftover.
 */
import type { DesiredState, Selector } from '../desired.ts';
import type { ActualState } from './actual.ts';
import type { KernelPolicy } from './kernel.ts';
import type { Memory } from './memory.ts';
import { readSelector, type ServiceNames } from './selector-text.ts';
import type { Step } from './diff.ts';

const ALL_PORTS = [0, 65_535] as const;

export function leftovers(
  desired: DesiredState,
  { kernel, associations, policies }: ActualState,
  memory: Memory,
  names: ServiceNames,
): Step[] {
  if (kernel === undefined) return [];
  const pairs = pairKeys(desired, memory);
  const children = associations.flatMap((association) => association.children);
  const spis = new Set(children.flatMap(({ spiIn, spiOut }) => [spiIn, spiOut]));
  const known = [...policies, ...children].flatMap(({ localSelectors, remoteSelectors }) =>
    pairsOf(localSelectors, remoteSelectors, names),
  );
  return [
    ...kernel.associations
      .filter(
        ({ source, destination, keyed, spi }) =>
          keyed && pairs.has(`${source} ${destination}`) && !spis.has(spi),
      )
      .map((association): Step => ({ do: 'delete-association', association })),
    ...kernel.policies
      .filter(
        (policy) =>
          policy.hasTemplate &&
          pairs.has(`${policy.source} ${policy.destination}`) &&
          !known.some((pair) => mayBe(policy, pair)),
      )
      .map((policy): Step => ({ do: 'delete-policy', policy })),
  ];
}

/** Both directions of each pair, present and former. */
function pairKeys(desired: DesiredState, memory: Memory): Set<string> {
  const pairs = [
    ...memory.pairs,
    ...desired.connections.flatMap(({ local, remote }) =>
      local.addresses.flatMap((own) => remote.addresses.map((peer) => ({ local: own, remote: peer }))),
    ),
  ];
  return new Set(pairs.flatMap(({ local, remote }) => [`${local} ${remote}`, `${remote} ${local}`]));
}

interface SelectorPair {
  readonly local: Wide;
  readonly remote: Wide;
}

/** A selector read so that it never selects less than it does; without an address it may be any host. */
interface Wide {
  readonly address: string | undefined;
  readonly ports: Selector['ports'];
}

function pairsOf(
  localTexts: readonly string[],
  remoteTexts: readonly string[],
  names: ServiceNames,
): SelectorPair[] {
  const read = (texts: readonly string[]): Wide[] => texts.flatMap((text) => readWidely(text, names) ?? []);
  const remotes = read(remoteTexts);
  return read(localTexts).flatMap((local) => remotes.map((remote) => ({ local, remote })));
}

/** Undefined for networks and ranges of addresses: they are no policy between two hosts. */
function readWidely(text: string, names: ServiceNames): Wide | undefined {
  const exact = readSelector(text, names);
  if (exact !== undefined) return exact;
  if (text.startsWith('dynamic')) return { address: undefined, ports: ALL_PORTS };
  // A name for a port that we do not know.
  const host = readSelector(text.replace(/\[.*/, ''), names);
  return host === undefined ? undefined : { address: host.address, ports: ALL_PORTS };
}

/** Whether the policy may come from the pair: addresses as they are, a port within (`ip` shows the first of a range). */
function mayBe(policy: KernelPolicy, { local, remote }: SelectorPair): boolean {
  const [source, destination] = policy.direction === 'out' ? [local, remote] : [remote, local];
  const within = (selector: Wide, port: number | undefined): boolean =>
    port === undefined || (selector.ports[0] <= port && port <= selector.ports[1]);
  return (
    (source.address ?? policy.source) === policy.source &&
    (destination.address ?? policy.destination) === policy.destination &&
    within(source, policy.sourcePort) &&
    within(destination, policy.destinationPort)
  );
}
