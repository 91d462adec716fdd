import { describe, expect, it } from 'vitest';
import { BACK_END, FRONT_END, policyOf } from '../../../test/support/ipsec-policy.ts';
import { type ClearPacket, guardDrops, guardScope, mergePorts } from './scope.ts';

const EVERYTHING = FRONT_END.replace('["passwords"]', '["everything"]');
const DIRECTORY = BACK_END.replace('["passwords"]', '["directory"]');
const packet = (change: Partial<ClearPacket>): ClearPacket => ({
  peer: '192.0.2.50',
  protocol: 6,
  ownPort: 40_000,
  peerPort: 110,
  incoming: false,
  opens: true,
  ...change,
});
const stranger = { peer: '203.0.113.9', peerPort: 40_000 };

describe('what the guard drops', () => {
  it.each<[string, string, Partial<ClearPacket>, boolean]>([
    ['a protected port of the back-end', FRONT_END, {}, true],
    ['its answers', FRONT_END, { incoming: true, opens: false }, true],
    ['another port', FRONT_END, { peerPort: 25 }, false],
    ['another host', FRONT_END, { peer: '192.0.2.51' }, false],
    ["the front-end's own service", FRONT_END, { ...stranger, ownPort: 110, incoming: true }, false],
    ['everything', EVERYTHING, { protocol: 17, peerPort: 9 }, true],
    ['everything but management', EVERYTHING, { peerPort: 22 }, false],
    [
      'everything but management, the other way',
      EVERYTHING,
      { ownPort: 22, peerPort: 50_000, incoming: true },
      false,
    ],
    ['everything but ESP', EVERYTHING, { protocol: 50, ownPort: 0, peerPort: 0 }, false],
    ['everything but VRRP', EVERYTHING, { protocol: 112, ownPort: 0, peerPort: 0 }, false],
    ['everything but key exchange', EVERYTHING, { protocol: 17, ownPort: 500, peerPort: 500 }, false],
    ['a stranger at a protected port', BACK_END, { ...stranger, ownPort: 110, incoming: true }, true],
    ['the answer to a stranger', BACK_END, { ...stranger, ownPort: 110, opens: false }, true],
    ['a clear network', BACK_END, { peer: '198.51.100.9', ownPort: 110, incoming: true }, false],
    [
      'a stranger that opens a connection to a dynamic port',
      DIRECTORY,
      { ...stranger, ownPort: 50_000, incoming: true },
      true,
    ],
    [
      "a stranger's answer to a connection from there",
      DIRECTORY,
      { peer: '203.0.113.9', peerPort: 443, ownPort: 50_000, incoming: true, opens: false },
      false,
    ],
    [
      'a connection from there to a stranger',
      DIRECTORY,
      { peer: '203.0.113.9', peerPort: 443, ownPort: 50_000 },
      false,
    ],
    [
      'a peer at a dynamic port, whatever it is',
      DIRECTORY,
      { peer: '192.0.2.10', ownPort: 50_000, incoming: true, opens: false },
      true,
    ],
  ])('%s', (_name, toml, change, dropped) => {
    expect(guardDrops(guardScope(policyOf(toml)), packet(change)) !== undefined).toBe(dropped);
  });

  it('names what one own identity protects for all of them', () => {
    const two = BACK_END.replace(
      'name = "mail.example.org"',
      'name = "mail.example.org"\nprotect = ["tcp/25"]',
    );
    const { towards, anybody } = guardScope(policyOf(two));
    const ports = [25, 110, 143].map((port) => ({ protocol: 6, first: port, last: port }));
    expect(towards).toEqual([{ peers: ['192.0.2.10', '2001:db8::10'], ports }]);
    expect(anybody).toEqual(ports);
  });

  it('joins ranges that touch', () => {
    const tcp = (first: number, last: number): { protocol: 6; first: number; last: number } => ({
      protocol: 6,
      first,
      last,
    });
    expect(mergePorts([tcp(20, 30), tcp(1, 5), tcp(6, 10), tcp(25, 40)])).toEqual([tcp(1, 10), tcp(20, 40)]);
  });
});
