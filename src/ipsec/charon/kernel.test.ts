import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NetworkNamespace } from '../../../test/support/network-namespace.ts';
import { type RunProgram, runProgram } from '../run-program.ts';
import { readAssociations, readPolicies, xfrmKernel } from './kernel.ts';

/** As iproute2 6.1 writes them: one in use, one that only holds a number, one between networks' gateways. */
const STATES = `src 10.66.0.1 dst 10.66.0.2
	proto esp spi 0xc0ffee01(3237998081) reqid 1(0x00000001) mode transport
	replay-window 0 seq 0x00000000 flag  (0x00000000)
	aead rfc4106(gcm(aes)) <<Keys hidden>> 128
	anti-replay context: seq 0x0, oseq 0x3, bitmap 0x00000000
	sel src 10.66.0.1/32 dst 10.66.0.2/32 uid 0
	lifetime config:
	  limit: soft (INF)(bytes), hard (INF)(bytes)
src fd66::2 dst fd66::1
	proto esp spi 0x00000008(8) reqid 0(0x00000000) mode transport
	replay-window 0 seq 0x00000000 flag  (0x00000000)
src 10.66.0.2 dst 10.66.0.1
	proto esp spi 0xc0ffee02 reqid 1 mode tunnel
	enc cbc(aes) <<Keys hidden>>
`;

const inside =
  (namespace: NetworkNamespace): RunProgram =>
  (program, args) => {
    const [first, ...rest] = namespace.enter(program, ...args);
    return runProgram(first, rest);
  };

describe("the kernel's tables", () => {
  it('reads associations, and which of them have keys', () => {
    expect(readAssociations(STATES)).toEqual([
      {
        source: '10.66.0.1',
        destination: '10.66.0.2',
        protocol: 'esp',
        spi: 'c0ffee01',
        mode: 'transport',
        keyed: true,
      },
      {
        source: 'fd66::2',
        destination: 'fd66::1',
        protocol: 'esp',
        spi: '00000008',
        mode: 'transport',
        keyed: false,
      },
      {
        source: '10.66.0.2',
        destination: '10.66.0.1',
        protocol: 'esp',
        spi: 'c0ffee02',
        mode: 'tunnel',
        keyed: true,
      },
    ]);
  });

  it('makes nothing of anything else', () => {
    expect(readAssociations('')).toEqual([]);
    expect(readPolicies('src x dst y\n\tdir out action allow index 1 priority 0\n')).toEqual([]);
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(...STATES.split('\n'), '\tdir out', 'src', '\ttmpl '), { maxLength: 30 }),
        (lines) => {
          const text = lines.join('\n');
          expect(readAssociations(text).every(({ spi }) => /^[0-9a-f]{8}$/.test(spi))).toBe(true);
          expect(readPolicies(text)).toEqual([]);
        },
      ),
    );
  });

  it("reads and deletes a real kernel's: ranges and IPv6 too, and nothing besides", async () => {
    await using namespace = await NetworkNamespace.create();
    const run = inside(namespace);
    const kernel = xfrmKernel(run);
    const ip = (line: string): Promise<unknown> => namespace.run('ip', ...line.split(' '));
    const template = 'tmpl proto esp mode transport reqid 1';
    await ip(
      `xfrm policy add dir out src 10.66.0.1/32 dst 10.66.0.2/32 proto tcp dport 110 priority 5 ${template}`,
    );
    await ip(
      `xfrm policy add dir in src fd66::2/128 dst fd66::1/128 proto tcp sport 143 priority 5 ${template}`,
    );
    await ip('xfrm policy add dir in src 0.0.0.0/0 dst 10.66.0.1/32 action block priority 4294967295');
    await ip('xfrm policy add dir out src 10.66.0.1/32 dst 10.66.0.2/32 action block priority 4294967295');
    await ip('xfrm state allocspi src 10.66.0.1 dst 10.66.0.2 proto esp mode transport min 5 max 10');
    const { policies, associations } = await kernel.dump();
    expect(associations).toMatchObject([{ source: '10.66.0.1', destination: '10.66.0.2', keyed: false }]);
    const [four, six, block] = ['10.66.0.2', 'fd66::1', '10.66.0.2'].map((destination, n) =>
      policies.find((policy) => policy.destination === destination && policy.hasTemplate === n < 2),
    );
    expect(policies).toHaveLength(3);
    expect(four).toMatchObject({
      source: '10.66.0.1',
      direction: 'out',
      protocol: 'tcp',
      destinationPort: 110,
    });
    expect(six).toMatchObject({ source: 'fd66::2', direction: 'in', sourcePort: 143 });
    expect(block).toMatchObject({ hasTemplate: false, protocol: undefined });
    for (const policy of [four, six, six]) if (policy !== undefined) await kernel.deletePolicy(policy);
    for (const association of [...associations, ...associations]) await kernel.deleteAssociation(association);
    const left = await kernel.dump();
    expect(left).toMatchObject({ associations: [], policies: [{ hasTemplate: false }] });
    expect(await namespace.run('ip', 'xfrm', 'policy', 'count')).toMatch(/IN\s+1\s+OUT\s+1/);
  });

  it('says why it cannot', async () => {
    const failing = xfrmKernel(() =>
      Promise.resolve({ code: 2, stdout: '', stderr: 'Operation not permitted\n' }),
    );
    await expect(failing.dump()).rejects.toMatchObject({
      code: 'ipsec.kernel',
      message: expect.stringContaining('Operation not permitted') as string,
    });
  });
});
