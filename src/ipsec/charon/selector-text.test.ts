import { describe, expect, it } from 'vitest';
import type { Selector } from '../desired.ts';
import { readSelector, readServiceNames, selects, writeSelector } from './selector-text.ts';

const NAMES = readServiceNames(`
# Network services
pop3    110/tcp   pop-3     # POP version 3
imap2   143/tcp   imap
domain  53/tcp
domain  53/udp
kpop    1109/tcp
nonsense
`);

const ALL = [0, 65_535] as const;

describe('selectors as text', () => {
  it.each<[selector: Selector, written: string, shown: string]>([
    [{ address: '10.66.0.2', protocol: 0, ports: ALL }, '10.66.0.2/32', '10.66.0.2/32'],
    [{ address: '10.66.0.2', protocol: 6, ports: ALL }, '10.66.0.2/32[6]', '10.66.0.2/32[tcp]'],
    [
      { address: '10.66.0.2', protocol: 6, ports: [110, 110] },
      '10.66.0.2/32[6/110]',
      '10.66.0.2/32[tcp/pop3]',
    ],
    [
      { address: '10.66.0.2', protocol: 17, ports: [53, 53] },
      '10.66.0.2/32[17/53]',
      '10.66.0.2/32[udp/domain]',
    ],
    [
      { address: '10.66.0.2', protocol: 6, ports: [49_152, 65_535] },
      '10.66.0.2/32[6/49152-65535]',
      '10.66.0.2/32[tcp/49152-65535]',
    ],
    [{ address: 'fd66::2', protocol: 6, ports: [7, 7] }, 'fd66::2/128[6/7]', 'fd66::2/128[tcp/7]'],
    [
      { address: 'fd66::2', protocol: 58, ports: [0x8800, 0x8800] },
      'fd66::2/128[58/34816]',
      'fd66::2/128[ipv6-icmp/136]',
    ],
    [{ address: '10.0.0.1', protocol: 112, ports: ALL }, '10.0.0.1/32[112]', '10.0.0.1/32[112]'],
  ])('%j', (selector, written, shown) => {
    expect(writeSelector(selector)).toBe(written);
    expect(readSelector(shown, NAMES)).toEqual(selector);
  });

  it.each([
    '',
    '10.0.0.0/8',
    '10.0.0.1..10.0.0.9',
    'dynamic',
    '0.0.0.0/0',
    '10.0.0.1/32[tcp/unheard-of]',
    '10.0.0.1/32[xyz]',
    'x/32',
    '10.0.0.1/32[tcp/1',
  ])('is nothing of ours: %s', (text) => {
    expect(readSelector(text, NAMES)).toBeUndefined();
  });

  it('knows aliases, and the first of two entries', () => {
    expect(readSelector('10.0.0.1/32[tcp/imap]', NAMES)?.ports).toEqual([143, 143]);
    expect(readServiceNames('a 1/tcp\na 2/tcp').get('a/tcp')).toBe(1);
  });

  it.each<[outer: string, inner: string, answer: boolean]>([
    ['10.0.0.1/32', '10.0.0.1/32[tcp/110]', true],
    ['10.0.0.1/32[tcp]', '10.0.0.1/32[tcp/110]', true],
    ['10.0.0.1/32[tcp/100-120]', '10.0.0.1/32[tcp/110]', true],
    ['10.0.0.1/32[tcp/110]', '10.0.0.1/32[tcp/110]', true],
    ['10.0.0.1/32[tcp/110]', '10.0.0.1/32[tcp]', false],
    ['10.0.0.1/32[udp]', '10.0.0.1/32[tcp/110]', false],
    ['10.0.0.2/32', '10.0.0.1/32', false],
    ['10.0.0.1/32[tcp/111-120]', '10.0.0.1/32[tcp/110-120]', false],
  ])('%s selects %s: %s', (outer, inner, answer) => {
    const [a, b] = [readSelector(outer, NAMES), readSelector(inner, NAMES)];
    expect(a !== undefined && b !== undefined && selects(a, b)).toBe(answer);
  });
});
