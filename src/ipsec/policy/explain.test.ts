import { describe, expect, it } from 'vitest';
import { BACK_END, FRONT_END, policyOf } from '../../../test/support/ipsec-policy.ts';
import { viewOf } from '../state/policy-state.ts';
import { explain, readPacket, type Verdict } from './explain.ts';

function ask(toml: string, source: string, destination: string, port: string, sourcePort?: number): Verdict {
  const policy = policyOf(toml);
  return explain(viewOf(policy), readPacket(source, destination, port, sourcePort));
}
const EVERYTHING = FRONT_END.replace('["passwords"]', '["everything"]');
const DIRECTORY = BACK_END.replace('["passwords"]', '["directory"]');

describe('explain', () => {
  it.each<[string, string, string, string, string, Verdict['outcome'], RegExp]>([
    ['front-end', FRONT_END, '192.0.2.10', '192.0.2.50', '110', 'protected', /ESP in transport mode/],
    ['front-end, IPv6', FRONT_END, '2001:db8::10', '2001:DB8:0::50', 'tcp/143', 'protected', /ESP/],
    ['front-end', FRONT_END, '192.0.2.10', '192.0.2.50', '25', 'untouched', /no protection names it/],
    ['front-end', FRONT_END, '192.0.2.10', '192.0.2.50', 'udp/110', 'untouched', /no protection/],
    [
      'front-end, its own clients',
      FRONT_END,
      '203.0.113.9',
      '192.0.2.10',
      '110',
      'untouched',
      /no protection/,
    ],
    ['front-end, key exchange', FRONT_END, '192.0.2.50', '192.0.2.10', 'udp/500', 'bypassed', /key exchange/],
    ['front-end, ESP', FRONT_END, '192.0.2.50', '192.0.2.10', 'esp', 'bypassed', /key exchange and ESP/],
    ['front-end, strangers', FRONT_END, '203.0.113.9', '203.0.113.10', '110', 'elsewhere', /neither/],
    ['front-end, itself', FRONT_END, '192.0.2.10', '192.0.2.10', '110', 'untouched', /does not leave/],
    ['back-end', BACK_END, '192.0.2.10', '192.0.2.50', '110', 'protected', /mail\.example\.org and edge1/],
    [
      'back-end, its node',
      BACK_END,
      '192.0.2.10',
      '192.0.2.21',
      '110',
      'protected',
      /node1\.example\.org and edge1/,
    ],
    [
      'back-end, a stranger',
      BACK_END,
      '203.0.113.9',
      '192.0.2.50',
      '110',
      'dropped',
      /no peer and in no network of clear_from/,
    ],
    [
      'back-end, a clear network',
      BACK_END,
      '198.51.100.7',
      '192.0.2.50',
      '110',
      'untouched',
      /198\.51\.100\.0\/24/,
    ],
    [
      'back-end that observes',
      `stage = "observe"\n${BACK_END}`,
      '192.0.2.10',
      '192.0.2.50',
      '110',
      'untouched',
      /only counts/,
    ],
    ['back-end, dynamic RPC', DIRECTORY, '192.0.2.10', '192.0.2.50', '50000', 'protected', /ESP/],
    [
      'back-end, a stranger at dynamic RPC',
      DIRECTORY,
      '203.0.113.9',
      '192.0.2.50',
      '50000',
      'dropped',
      /no peer/,
    ],
    ['everything', EVERYTHING, '192.0.2.10', '192.0.2.50', 'udp/9', 'protected', /ESP/],
    ['everything, ping', EVERYTHING, '192.0.2.10', '192.0.2.50', 'icmp', 'protected', /ESP/],
    ['everything, management', EVERYTHING, '192.0.2.10', '192.0.2.50', '22', 'bypassed', /leaves management/],
    ['everything, VRRP', EVERYTHING, '192.0.2.10', '192.0.2.50', 'vrrp', 'bypassed', /VRRP/],
  ])('%s: %#', (_name, toml, source, destination, port, outcome, because) => {
    const verdict = ask(toml, source, destination, port);
    expect(verdict).toMatchObject({ outcome, because: expect.stringMatching(because) as string });
    expect(verdict.outcome === 'protected').toBe(verdict.connection !== undefined);
  });

  it('names connection, child and selectors', () => {
    expect(ask(FRONT_END, '192.0.2.10', '192.0.2.50', '110')).toMatchObject({
      connection: 'postern-edge1.example.org_mail.example.org-v4',
      child: 'postern-edge1.example.org_mail.example.org-v4-passwords',
      selectors: ['192.0.2.10 tcp', '192.0.2.50 tcp/110'],
    });
  });

  it('protects answers as well', () => {
    expect(ask(BACK_END, '192.0.2.50', '192.0.2.10', '40000', 110).outcome).toBe('protected');
  });

  it.each([
    ['192.0.2.1', '2001:db8::1', '110', /no packet has both/],
    ['mail.example.org', '192.0.2.1', '110', /is no address/],
    ['192.0.2.1', '192.0.2.2', '70000', /ports go from 1/],
    ['192.0.2.1', '192.0.2.2', '0', /is no port/],
    ['192.0.2.1', '192.0.2.2', 'sctp/5', /is no port/],
  ])('refuses %s %s %s', (source, destination, port, message) => {
    expect(() => readPacket(source, destination, port)).toThrow(
      expect.objectContaining({ code: 'usage', message: expect.not.stringMatching(/^$/) as string }),
    );
    expect(() => readPacket(source, destination, port)).toThrow(
      message.test('ports go from 1')
        ? expect.objectContaining({ hint: expect.stringMatching(message) as string })
        : message,
    );
  });
});
