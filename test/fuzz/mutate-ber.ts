/** Mutations of nested tag, length, value: the tree is changed, and the lengths around the change are made right again (or, on purpose, not). */
import type { FuzzRandom } from './random.ts';

interface Node {
  tag: number;
  /** A primitive's content. */
  content: Buffer;
  children: Node[] | undefined;
  /** Length octets in place of the right ones. */
  lie: Buffer | undefined;
}

const MOST_NODES = 3000;
const TAGS = [
  0x01, 0x02, 0x04, 0x05, 0x0a, 0x30, 0x31, 0x42, 0x4a, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x87, 0x8a, 0x8b,
  0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa9,
];
const LIES = [
  '80',
  '00',
  '01',
  '7f',
  '8100',
  '817f',
  '82ffff',
  '8400000000',
  '84ffffffff',
  '847fffffff',
  '850000000001',
  'ff',
].map((hex) => Buffer.from(hex, 'hex'));
const INTEGERS = [
  '00',
  '01',
  'ff',
  '7f',
  '80',
  '7fffffff',
  '80000000',
  '00ffffffff',
  '0080000000',
  '7fffffffffffffff',
  '0000000001',
  '',
  '001fffffffffffff',
  '0020000000000000',
].map((hex) => Buffer.from(hex, 'hex'));

function parse(
  input: Buffer,
  start: number,
  end: number,
  depth: number,
  count: { left: number },
): Node[] | undefined {
  const nodes: Node[] = [];
  for (let at = start; at < end; ) {
    if (count.left-- <= 0 || at + 2 > end) return undefined;
    const tag = input[at] as number;
    let length = input[at + 1] as number;
    let content = at + 2;
    if (length >= 0x80) {
      const octets = length & 0x7f;
      if (octets === 0 || octets > 4 || content + octets > end) return undefined;
      length = 0;
      for (let i = 0; i < octets; i++) length = length * 256 + (input[content++] as number);
    }
    if ((tag & 0x1f) === 0x1f || content + length > end) return undefined;
    const inner = depth > 0 && length > 0 && ((tag & 0x20) !== 0 || tag === 0x04 || tag >= 0x80);
    // Values of controls and extended operations are BER inside an octet string.
    const children = inner ? parse(input, content, content + length, depth - 1, count) : undefined;
    nodes.push({
      tag,
      content: input.subarray(content, content + length),
      children: children ?? ((tag & 0x20) !== 0 && length === 0 ? [] : undefined),
      lie: undefined,
    });
    at = content + length;
  }
  return nodes;
}

function lengthOctets(length: number): Buffer {
  if (length < 0x80) return Buffer.of(length);
  if (length < 0x100) return Buffer.of(0x81, length);
  if (length < 0x1_0000) return Buffer.of(0x82, length >> 8, length & 0xff);
  return Buffer.of(0x83, length >> 16, (length >> 8) & 0xff, length & 0xff);
}

function write(nodes: readonly Node[], out: Buffer[]): number {
  let total = 0;
  for (const { tag, content, children, lie } of nodes) {
    const inner: Buffer[] = [];
    const length = children === undefined ? content.length : write(children, inner);
    if (children === undefined) inner.push(content);
    const octets = lie ?? lengthOctets(length);
    out.push(Buffer.of(tag), octets, ...inner);
    total += 1 + octets.length + length;
  }
  return total;
}

/** Every node with the list that holds it. */
function places(
  nodes: Node[],
  found: { list: Node[]; index: number }[] = [],
): { list: Node[]; index: number }[] {
  nodes.forEach((node, index) => {
    found.push({ list: nodes, index });
    if (node.children !== undefined) places(node.children, found);
  });
  return found;
}

/** Undefined when the input is no tree. */
export function mutateBer(
  input: Buffer,
  other: Buffer,
  words: readonly Buffer[],
  random: FuzzRandom,
): Buffer | undefined {
  const nodes = parse(input, 0, input.length, 60, { left: MOST_NODES });
  if (nodes === undefined || nodes.length === 0) return undefined;
  for (let n = 1 + random.below(3); n > 0; n--) {
    const all = places(nodes);
    if (all.length === 0) break;
    const { list, index } = random.pick(all);
    const node = list[index] as Node;
    switch (random.below(11)) {
      case 0:
        list.splice(index, 1);
        break;
      case 1: {
        const times = random.oneIn(10) ? 2 + random.below(300) : 1;
        list.splice(index, 0, ...Array.from({ length: times }, () => structuredCopy(node)));
        break;
      }
      case 2:
        node.tag = random.pick(TAGS);
        break;
      case 3:
        node.tag = (node.tag & 0xe0) | random.below(0x1f);
        break;
      case 4:
        node.children = undefined;
        node.content = random.pick(INTEGERS);
        break;
      case 5:
        if (words.length > 0) {
          node.children = undefined;
          node.content = random.pick(words);
        }
        break;
      case 6: {
        const times = random.oneIn(5) ? 1 + random.below(120) : 1;
        const tag = random.oneIn(2) ? node.tag | 0x20 : random.pick([0x30, 0xa0, 0xa1, 0xa2]);
        let wrapped = node;
        for (let i = 0; i < times; i++)
          wrapped = { tag, content: Buffer.alloc(0), children: [wrapped], lie: undefined };
        list[index] = wrapped;
        break;
      }
      case 7:
        node.lie = random.pick(LIES);
        break;
      case 8: {
        // The right length, in more octets than it needs.
        const length = node.children === undefined ? node.content.length : write(node.children, []);
        const octets = Buffer.alloc(5);
        octets[0] = 0x84;
        octets.writeUInt32BE(length, 1);
        node.lie = octets;
        break;
      }
      case 9: {
        const theirs = parse(other, 0, other.length, 60, { left: MOST_NODES });
        if (theirs !== undefined && theirs.length > 0) {
          const from = random.pick(places(theirs));
          list.splice(index, random.below(2), from.list[from.index] as Node);
        }
        break;
      }
      default: {
        const { list: into, index: at } = random.pick(all);
        const swapped = into[at] as Node;
        if (random.oneIn(2)) node.children?.push(structuredCopy(swapped));
        else list[index] = structuredCopy(swapped);
      }
    }
    if (places(nodes).length > MOST_NODES) break;
  }
  const out: Buffer[] = [];
  write(nodes, out);
  return Buffer.concat(out);
}

function structuredCopy(node: Node): Node {
  return {
    tag: node.tag,
    content: node.content,
    children: node.children?.map(structuredCopy),
    lie: node.lie,
  };
}
