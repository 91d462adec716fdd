import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type AccountName,
  checkNodeName,
  formatAccountName,
  isNodeName,
  nextAccountNumber,
  parseAccountName,
  sameFqdn,
  sameName,
} from './account-name.ts';

const nodeName = fc.stringMatching(/^[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?$/);
const accountName: fc.Arbitrary<AccountName> = fc.oneof(
  nodeName.map((edge) => ({ kind: 'bootstrap', edge }) as const),
  fc.record({
    kind: fc.constant('esra' as const),
    edge: nodeName,
    hub: nodeName,
    number: fc.nat(999_999_999),
  }),
);

describe('account names', () => {
  it('are read back as they were written', () => {
    fc.assert(
      fc.property(accountName, (name) => {
        expect(parseAccountName(formatAccountName(name))).toEqual(name);
      }),
    );
  });

  it('of different accounts differ', () => {
    fc.assert(
      fc.property(accountName, accountName, (a, b) => {
        expect(sameName(formatAccountName(a), formatAccountName(b))).toBe(
          JSON.stringify(a).toLowerCase() === JSON.stringify(b).toLowerCase(),
        );
      }),
    );
  });

  it('of anything at all is a name that writes back the same, or none', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^ESRA[.a-z0-9-]{0,40}$/)), (text) => {
        const name = parseAccountName(text);
        if (name !== undefined) expect(sameName(formatAccountName(name), text)).toBe(true);
      }),
    );
  });

  it.each([
    ['ESRA.edge', { kind: 'bootstrap', edge: 'edge' }],
    ['esra.EDGE', { kind: 'bootstrap', edge: 'EDGE' }],
    ['ESRA.edge.mailbox.0', { kind: 'esra', edge: 'edge', hub: 'mailbox', number: 0 }],
  ])('%s', (text, parts) => {
    expect(parseAccountName(text)).toEqual(parts);
  });

  it.each([
    '',
    'ESRA',
    'ESRA.',
    'ESRA.edge.',
    'ESRA.edge.hub',
    'ESRA.edge.hub.',
    'ESRA.edge.hub.01',
    'ESRA.edge.hub.-1',
    'ESRA.edge.hub.1e1',
    'ESRA.edge.hub.1000000000',
    'ESRA.edge.hub.0.0',
    'ESRA.edge.mail.corp.0',
    'ESRA.-edge',
    'ESRA.ed ge',
    'ESRA.édge',
    'ESRB.edge',
    ' ESRA.edge',
    `ESRA.${'e'.repeat(64)}`,
    `ESRA.${'.'.repeat(300)}`,
  ])('%j is none', (text) => {
    expect(parseAccountName(text)).toBeUndefined();
  });

  it('a name with a dot is refused with the short name as advice', () => {
    expect(isNodeName('edge1.perimeter')).toBe(false);
    expect(() => checkNodeName('edge1.perimeter', 'edge')).toThrow(
      expect.objectContaining({ code: 'usage', hint: expect.stringContaining('"edge1"') }),
    );
    expect(() => checkNodeName('', 'hub')).toThrow(expect.objectContaining({ code: 'usage' }));
    expect(checkNodeName('HUB_1', 'hub')).toBe('HUB_1');
  });

  it('host names are the same whatever their case and final dot', () => {
    expect(sameFqdn('Edge1.Example.', 'edge1.example')).toBe(true);
    expect(sameFqdn('edge1.example', 'edge2.example')).toBe(false);
  });

  it('numbers go on, also after a gap', () => {
    expect(nextAccountNumber([])).toBe(0);
    expect(nextAccountNumber([0, 7, 3])).toBe(8);
    expect(() => nextAccountNumber([999_999_999])).toThrow(expect.objectContaining({ code: 'internal' }));
  });
});
