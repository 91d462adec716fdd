import { describe, expect, it } from 'vitest';
import { BACK_END, certificateFor, FRONT_END, NOW, policyOf } from '../../../test/support/ipsec-policy.ts';
import { isPosternError } from '../../base/error.ts';
import type { PeerDescription } from './policy.ts';

const front = (extra = ''): string =>
  `role = "front-end"\nname = "edge1.example.org"\naddresses = ["192.0.2.10"]\n${extra}`;
const back = (extra = ''): string =>
  `role = "back-end"\nname = "node1.example.org"\naddresses = ["192.0.2.21"]\n${extra}`;
const peer = (extra = '', name = 'mail.example.org', address = '192.0.2.50'): string =>
  `[[peer]]\nname = "${name}"\naddresses = ["${address}"]\ncertificates = ["/x"]\n${extra}\n`;
const mail: Partial<PeerDescription> = {
  id: 'mail.example.org',
  addresses: ['192.0.2.50'],
  protect: ['passwords'],
};

function refusal(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (!isPosternError(error, 'config.invalid') || error.hint === undefined) throw error;
    return error.message;
  }
  return 'taken';
}

describe('a policy', () => {
  it('links every own identity with every peer', () => {
    const pairs = (toml: string): string[] =>
      policyOf(toml).links.map(({ own, peer: { id } }) => `${own.id} ${id}`);
    expect(pairs(FRONT_END)).toEqual(['edge1.example.org mail.example.org']);
    expect(pairs(BACK_END)).toEqual([
      'node1.example.org edge1.example.org',
      'mail.example.org edge1.example.org',
    ]);
  });

  it('has one peer with a key for each node when two nodes serve one name', () => {
    const one = { ...mail, certificates: [certificateFor('mail.example.org')] };
    const two = [one, { ...mail, source: 'b' }, one];
    const [link] = policyOf(front(), two).links;
    expect(link?.peer.certificates).toHaveLength(2);
  });

  it.each<[string, string, Partial<PeerDescription>[], RegExp]>([
    [
      'unknown preset',
      front(peer('protect = ["paswords"]')),
      [],
      /peer\.0: protect\.0: "paswords": neither a preset/,
    ],
    ['range 70000', back('protect = ["tcp/60000-70000"]'), [], /protect\.0: .*ports go from 1 to 65535/],
    ['overlap', back('protect = ["streams", "passwords"]'), [], /leave one of them out/],
    ['nothing protected', front(peer()), [], /"mail.example.org" protects nothing/],
    ['nothing protected by a node', back(), [], /"node1.example.org" protects nothing/],
    [
      'ports beside a peer of a back-end',
      back(`protect = ["streams"]\n${peer('protect = ["streams"]', 'a.example.org')}`),
      [],
      /peer\.0\.protect/,
    ],
    ['ports of a front-end', front('protect = ["streams"]'), [], /protect: on a front-end/],
    [
      'a virtual server of a front-end',
      front('[[virtual_server]]\nname = "a.b"\naddresses = ["192.0.2.3"]'),
      [],
      /only a back-end has any/,
    ],
    [
      'an address twice',
      front(peer('protect = ["streams"]', 'mail.example.org', '192.0.2.10')),
      [],
      /192\.0\.2\.10 belongs to "edge1/,
    ],
    ['one address for two peers', front(), [mail, { ...mail, id: 'other.example.org' }], /belongs to "mail/],
    [
      'two addresses of a family',
      front('').replace('"192.0.2.10"', '"192.0.2.10", "192.0.2.11"'),
      [],
      /one of each family/,
    ],
    ['no address', front().replace('192.0.2.10', 'localhost'), [], /"localhost" is no address/],
    [
      'loopback',
      front().replace('192.0.2.10', '127.0.0.1'),
      [],
      /no address that a host can have towards peers/,
    ],
    [
      'no common family',
      front(),
      [{ ...mail, addresses: ['2001:db8::50'] }],
      /no address of the same family/,
    ],
    [
      'an expired certificate',
      front(),
      [{ ...mail, certificates: [certificateFor('mail.example.org', NOW - 1)] }],
      /expired on 2026-11-21/,
    ],
    [
      'another name in the certificate',
      front(),
      [{ ...mail, certificates: [certificateFor('evil.example.org')] }],
      /the certificate is for evil/,
    ],
    ['no certificate', front(), [{ ...mail, certificates: [] }], /no certificate of "mail/],
    [
      'nodes that disagree about ports',
      front(),
      [mail, { ...mail, source: 'b', protect: ['streams'] }],
      /b: .*protects something else than in mail/,
    ],
    [
      'nodes that disagree about addresses',
      front(),
      [mail, { ...mail, source: 'b', addresses: ['192.0.2.51'] }],
      /b: .*other addresses/,
    ],
    [
      'sides that disagree about the single port',
      front(),
      [{ ...mail, singlePort: true }],
      /both sides must have the same/,
    ],
    [
      'a clear network with a peer in it',
      back(`protect = ["streams"]\n${peer('', 'a.example.org')}[guard]\nclear_from = ["192.0.2.0/24"]`),
      [],
      /holds 192\.0\.2\.50 of the peer/,
    ],
    [
      'a clear network that is none',
      back('protect = ["streams"]\n[guard]\nclear_from = ["192.0.2.1/24"]'),
      [],
      /is no network/,
    ],
    [
      'a name twice',
      back(
        'protect = ["streams"]\n[[virtual_server]]\nname = "node1.example.org"\naddresses = ["192.0.2.22"]',
      ),
      [],
      /is there twice/,
    ],
  ])('is refused: %s', (_name, toml, peers, message) => {
    expect(refusal(() => policyOf(toml, peers))).toMatch(message);
  });

  it('is refused without a certificate of its own', () => {
    expect(refusal(() => policyOf(front(), [mail], new Map()))).toMatch(/there is no certificate for "edge1/);
  });

  it('names every fault at once', () => {
    expect(
      refusal(() => policyOf(back('protect = ["x", "tcp/0"]'))).split('\n').length,
    ).toBeGreaterThanOrEqual(2);
  });

  it('is refused as a file: an unknown key is named with the nearest one', () => {
    expect(refusal(() => policyOf(back('protct = ["streams"]')))).toMatch(
      /unknown key "protct" \(did you mean "protect"\?\)/,
    );
  });
});
