import { describe, expect, it } from 'vitest';
import { canonicalAddress, holds, isHostAddress, parseNetwork } from './address.ts';

describe('addresses', () => {
  it.each([
    ['192.0.2.1', '192.0.2.1'],
    ['2001:DB8:0:0::1', '2001:db8::1'],
    ['192.0.2.01', undefined],
    ['192.0.2.1/32', undefined],
    ['fe80::1%eth0', undefined],
    ['::ffff:192.0.2.1', undefined],
    ['example.org', undefined],
    ['%any', undefined],
    ['', undefined],
  ])('%s', (text, canonical) => {
    expect(canonicalAddress(text)).toBe(canonical);
  });

  it.each(['127.0.0.1', '0.0.0.0', '224.0.0.18', '::', '::1', 'ff02::1', 'fe80::1', '255.255.255.255'])(
    '%s is nobody to protect traffic with',
    (address) => {
      expect(isHostAddress(address)).toBe(false);
    },
  );

  it.each(['10.0.0.1', '2001:db8::1', 'fd00::1', '::2'])('%s is a host', (address) => {
    expect(isHostAddress(address)).toBe(true);
  });
});

describe('networks', () => {
  it.each([
    ['192.0.2.0/24', '192.0.2.255', true],
    ['192.0.2.0/24', '192.0.3.0', false],
    ['192.0.2.7', '192.0.2.7', true],
    ['0.0.0.0/0', '255.255.255.255', true],
    ['0.0.0.0/0', '::1', false],
    ['2001:db8::/32', '2001:db8:ffff::1', true],
    ['2001:db8::/32', '2001:db9::', false],
    ['::/0', 'fd00::', true],
  ])('%s holds %s: %s', (text, address, expected) => {
    const network = parseNetwork(text);
    expect(network !== undefined && holds(network, address)).toBe(expected);
  });

  it.each([
    '192.0.2.1/24',
    '192.0.2.0/33',
    '192.0.2.0/',
    '192.0.2.0/024',
    '2001:db8::1/64',
    '10/8',
    '1.2.3.4/5/6',
    '',
  ])('%s is none', (text) => {
    expect(parseNetwork(text)).toBeUndefined();
  });
});
