/** Whether an entry's octets are what `layout.ts` says; for verification, since the paths that serve entries trust them. */
import { contentLength, contentStart, HEADER_LENGTH, LAYOUT_VERSION, type EntryView } from './layout.ts';

const SEQUENCE = 0x30;
const SET = 0x31;
const OCTET_STRING = 0x04;

/** What is wrong; undefined when every length fits. */
export function layoutFault(view: EntryView): string | undefined {
  const { buffer, start, end } = view;
  if (end - start < HEADER_LENGTH) return 'is shorter than an entry can be';
  if (buffer[start] !== LAYOUT_VERSION) return `is of version ${buffer[start]}, which nobody knows`;
  if (view.attributes > end) return 'has names and attributes longer than itself';
  for (let n = 0, at = view.attributes; n < view.attributeCount; n += 1) {
    if (view.attributeStart(n) !== at || view.attributeEnd(n) > end || !isAttribute(view, n))
      return `has a broken attribute (number ${n + 1})`;
    at = view.attributeEnd(n);
    if (n + 1 === view.attributeCount && at !== end) return 'has octets behind its attributes';
  }
  return undefined;
}

/** A PartialAttribute (RFC 4511 §4.1.7) that fills its place. */
function isAttribute(view: EntryView, n: number): boolean {
  const { buffer } = view;
  const end = view.attributeEnd(n);
  const sequence = element(buffer, view.attributeStart(n), end, SEQUENCE);
  if (sequence === undefined || sequence.end !== end) return false;
  const type = element(buffer, sequence.start, end, OCTET_STRING);
  const set = type === undefined ? undefined : element(buffer, type.end, end, SET);
  if (set === undefined || set.end !== end) return false;
  for (let at = set.start; at < end; ) {
    const value = element(buffer, at, end, OCTET_STRING);
    if (value === undefined) return false;
    at = value.end;
  }
  return true;
}

function element(
  buffer: Buffer,
  at: number,
  limit: number,
  tag: number,
): { start: number; end: number } | undefined {
  if (at + 2 > limit || buffer[at] !== tag) return undefined;
  const start = contentStart(buffer, at);
  if (start > limit) return undefined;
  const end = start + contentLength(buffer, at);
  return end <= limit ? { start, end } : undefined;
}
