/**
 * What is protected: presets and own ports, as administrators write them, to ports of the back-end; and ranges to the aligned blocks that the
 * kernel's selectors (value and mask) can hold. Pure; knows no addresses.
 */

export const TCP = 6;
export const UDP = 17;

/** Ports of the back-end, `first` to `last`. */
export interface Ports {
  readonly protocol: typeof TCP | typeof UDP;
  readonly first: number;
  readonly last: number;
}

export interface Protection {
  /** A preset's name, or "ports" for those written one by one. */
  readonly name: string;
  /** Host to host, whatever the protocol. */
  readonly everything: boolean;
  /** Empty when `everything`. */
  readonly ports: readonly Ports[];
}

const tcp = (first: number, last = first): Ports => ({ protocol: TCP, first, last });
const udp = (first: number, last = first): Ports => ({ protocol: UDP, first, last });

export const PRESETS = {
  /** POP3 and IMAP4: a basic login crosses the wire readable. */
  passwords: [tcp(110), tcp(143)],
  /** HTTP, POP3, IMAP4. */
  streams: [tcp(80), tcp(110), tcp(143)],
  /** LDAP, global catalogue, Kerberos, RPC with its dynamic ports. */
  directory: [tcp(389), udp(389), tcp(3268), tcp(88), udp(88), tcp(135), tcp(49_152, 65_535)],
} as const satisfies Record<string, readonly Ports[]>;

export const PRESET_NAMES = [...Object.keys(PRESETS), 'everything'];

/** `fault` is called for each thing that is wrong, with the place in the list and what is wrong with it. */
export function readProtections(
  texts: readonly string[],
  fault: (index: number, message: string) => void,
): Protection[] {
  const found: { index: number; protection: Protection }[] = [];
  texts.forEach((text, index) => {
    if (text === 'everything') found.push({ index, protection: { name: text, everything: true, ports: [] } });
    else if (Object.hasOwn(PRESETS, text))
      found.push({
        index,
        protection: { name: text, everything: false, ports: PRESETS[text as keyof typeof PRESETS] },
      });
    else {
      const ports = readPorts(text);
      if (typeof ports === 'string') fault(index, `"${text.slice(0, 40)}": ${ports}`);
      else found.push({ index, protection: { name: 'ports', everything: false, ports: [ports] } });
    }
  });
  found.forEach((later, at) => {
    for (const earlier of found.slice(0, at)) {
      const overlap = overlapOf(earlier.protection, later.protection);
      if (overlap === undefined) continue;
      const [one, two] = [texts[earlier.index], texts[later.index]];
      fault(later.index, `"${two}" and "${one}" both name ${overlap}: leave one of them out`);
    }
  });
  const own = found.flatMap(({ protection }) => (protection.name === 'ports' ? protection.ports : []));
  const presets = found.map(({ protection }) => protection).filter(({ name }) => name !== 'ports');
  return own.length === 0 ? presets : [...presets, { name: 'ports', everything: false, ports: sorted(own) }];
}

/** "tcp/8080", "udp/5000-5100"; else what is wrong. */
function readPorts(text: string): Ports | string {
  const match = /^(tcp|udp)\/(\d{1,9})(?:-(\d{1,9}))?$/.exec(text);
  if (match === null)
    return `neither a preset (${PRESET_NAMES.join(', ')}) nor ports such as "tcp/8080" or "tcp/8000-8099"`;
  const first = Number(match[2]);
  const last = match[3] === undefined ? first : Number(match[3]);
  if (first < 1 || last > 65_535 || first > 65_535) return 'ports go from 1 to 65535';
  if (last < first) return 'the range ends before it begins';
  if (match[1] === 'udp' && [500, 4500].some((port) => first <= port && port <= last))
    return 'UDP 500 and 4500 are what key exchange itself uses';
  return match[1] === 'tcp' ? tcp(first, last) : udp(first, last);
}

function overlapOf(one: Protection, two: Protection): string | undefined {
  if (one.everything && two.everything) return 'everything';
  if (one.everything || two.everything) return 'the same ports, since "everything" has them all';
  for (const a of one.ports) {
    const b = two.ports.find(
      (ports) => ports.protocol === a.protocol && ports.first <= a.last && ports.last >= a.first,
    );
    if (b !== undefined)
      return describePorts({
        protocol: a.protocol,
        first: Math.max(a.first, b.first),
        last: Math.min(a.last, b.last),
      });
  }
  return undefined;
}

function sorted(ports: readonly Ports[]): Ports[] {
  return [...ports].sort((a, b) => a.protocol - b.protocol || a.first - b.first);
}

/** "tcp/110", "tcp/49152-65535". */
export function describePorts({ protocol, first, last }: Ports): string {
  const name = protocol === TCP ? 'tcp' : 'udp';
  return first === last ? `${name}/${first}` : `${name}/${first}-${last}`;
}

/** As they were written; own ports one by one. */
export function writeProtections(protections: readonly Protection[]): string[] {
  return protections.flatMap(({ name, ports }) => (name === 'ports' ? ports.map(describePorts) : [name]));
}

/** The fewest aligned blocks, each a power of two long and beginning at a multiple of its length, that make up a range exactly. */
export function alignedBlocks(first: number, last: number): [first: number, last: number][] {
  const blocks: [number, number][] = [];
  for (let at = first; at <= last; ) {
    let size = 1;
    while (at % (size * 2) === 0 && at + size * 2 - 1 <= last && size < 65_536) size *= 2;
    blocks.push([at, at + size - 1]);
    at += size;
  }
  return blocks;
}

/** Whether one of the protections covers a port. */
export function covers(protections: readonly Protection[], protocol: number, port: number): boolean {
  return protections.some(
    ({ everything, ports }) =>
      everything || ports.some((one) => one.protocol === protocol && one.first <= port && port <= one.last),
  );
}
