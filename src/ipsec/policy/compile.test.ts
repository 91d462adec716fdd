import { describe, expect, it } from 'vitest';
import { BACK_END, FRONT_END, policyOf } from '../../../test/support/ipsec-policy.ts';
import type { DesiredConnection, Selector } from '../desired.ts';
import { compile } from './compile.ts';
import { formatSelector } from './explain.ts';

const write = (selectors: readonly Selector[] | undefined): string[] => (selectors ?? []).map(formatSelector);
const children = (connections: readonly DesiredConnection[]): string[] =>
  connections.flatMap((one) => one.children.map(({ name }) => name));
const protecting = (...protect: string[]): string =>
  FRONT_END.replace('["passwords"]', JSON.stringify(protect));

describe('a compiled policy', () => {
  it('has one connection a pair of identities and family', () => {
    expect(compile(policyOf(FRONT_END)).connections.map(({ name }) => name)).toEqual([
      'postern-edge1.example.org_mail.example.org-v4',
      'postern-edge1.example.org_mail.example.org-v6',
    ]);
    expect(compile(policyOf(BACK_END)).connections).toHaveLength(4);
  });

  it('has the same selectors on both sides, turned round', () => {
    const [front] = compile(policyOf(FRONT_END)).connections;
    const back = compile(policyOf(BACK_END)).connections.find(({ local }) => local.id === 'mail.example.org');
    expect(write(front?.children[0]?.localSelectors)).toEqual(['192.0.2.10 tcp']);
    expect(write(front?.children[0]?.remoteSelectors)).toEqual(['192.0.2.50 tcp/110', '192.0.2.50 tcp/143']);
    expect(back?.children[0]?.localSelectors).toEqual(front?.children[0]?.remoteSelectors);
    expect(back?.children[0]?.remoteSelectors).toEqual(front?.children[0]?.localSelectors);
    expect([back?.ikeProposals, back?.children[0]?.espProposals]).toEqual([
      front?.ikeProposals,
      front?.children[0]?.espProposals,
    ]);
  });

  it('has a child for each preset, and both protocols of the directory in one', () => {
    const [connection] = compile(policyOf(protecting('directory', 'streams', 'tcp/8080'))).connections;
    expect(connection?.children.map(({ name }) => name.split('-v4-')[1])).toEqual([
      'directory',
      'streams',
      'ports',
    ]);
    const [directory] = connection?.children ?? [];
    expect(write(directory?.localSelectors)).toEqual(['192.0.2.10 tcp', '192.0.2.10 udp']);
    expect(write(directory?.remoteSelectors)).toContain('192.0.2.50 tcp/49152-65535');
  });

  it('spreads 500 ports over children of 100 selectors', () => {
    const ports = Array.from({ length: 500 }, (_, index) => `tcp/${1001 + index * 2}`);
    const [connection] = compile(policyOf(protecting(...ports))).connections;
    expect(connection?.children.map(({ remoteSelectors }) => remoteSelectors.length)).toEqual([
      100, 100, 100, 100, 100,
    ]);
    expect(new Set(connection?.children.map(({ name }) => name)).size).toBe(5);
  });

  it('holds 500 ports of ranges in few selectors', () => {
    const [connection] = compile(policyOf(protecting('tcp/8000-8499'))).connections;
    expect(write(connection?.children[0]?.remoteSelectors)).toEqual([
      '192.0.2.50 tcp/8000-8063',
      '192.0.2.50 tcp/8064-8191',
      '192.0.2.50 tcp/8192-8447',
      '192.0.2.50 tcp/8448-8479',
      '192.0.2.50 tcp/8480-8495',
      '192.0.2.50 tcp/8496-8499',
    ]);
  });

  it('leaves management, VRRP and neighbours alone when everything is protected', () => {
    const { bypasses } = compile(policyOf(protecting('everything')));
    const names = bypasses.map(({ name }) => name.split('-clear-')[1]);
    expect(names).toEqual([
      'ssh-22-in',
      'ssh-22-out',
      'vrrp',
      'ssh-22-in',
      'ssh-22-out',
      'vrrp',
      'nd-133',
      'nd-134',
      'nd-135',
      'nd-136',
      'nd-137',
    ]);
    expect(bypasses.at(-3)?.localSelectors).toEqual([
      { address: '2001:db8::10', protocol: 58, ports: [34_560, 34_560] },
    ]);
    expect(compile(policyOf(FRONT_END)).bypasses).toEqual([]);
  });

  it.each([
    ['charons that have it on both sides', 6, 6, true],
    ['an old charon here', 5, 6, false],
    ['an old charon there', 6, 5, false],
    ['a peer that says nothing', 6, undefined, false],
  ])('offers ML-KEM with %s', (_name, here, there, offered) => {
    const peer = {
      id: 'mail.example.org',
      addresses: ['192.0.2.50'],
      protect: ['streams'],
      ...(there === undefined ? {} : { charon: there }),
    };
    const policy = policyOf(FRONT_END.split('[[peer]]')[0] ?? '', [peer]);
    const [connection] = compile(policy, here).connections;
    expect(connection?.ikeProposals.some((one) => one.includes('mlkem'))).toBe(offered);
    expect(connection?.ikeProposals).toContain('aes256gcm16-prfsha384-ecp384');
  });

  it('has older proposals only when told', () => {
    const all = (toml: string): string => JSON.stringify(compile(policyOf(toml)).connections);
    expect(all(FRONT_END)).not.toContain('modp');
    expect(all(`proposals = "compat"\n${FRONT_END}`)).toContain('modp2048');
  });

  it('uses port 4500 alone when it is to be a single one', () => {
    const [connection] = compile(policyOf(`single_port = true\n${FRONT_END}`)).connections;
    expect(connection).toMatchObject({ encapsulate: true, local: { port: 4500 }, remote: { port: 4500 } });
  });

  it('puts nothing into charon while it only observes', () => {
    expect(compile(policyOf(`stage = "observe"\n${FRONT_END}`)).connections).toEqual([]);
    expect(compile(policyOf(`stage = "traps"\n${FRONT_END}`)).connections).toHaveLength(2);
  });

  it('has names that charon takes, whatever the hosts are called', () => {
    const long = `${'a'.repeat(60)}.${'b'.repeat(60)}.${'c'.repeat(60)}.example.org`;
    const { connections } = compile(policyOf(FRONT_END.replaceAll('mail.example.org', long)));
    const others = compile(policyOf(FRONT_END.replaceAll('mail.example.org', `x${long}`)));
    for (const name of connections.map((one) => one.name))
      expect(name).toMatch(/^postern-[a-z0-9._-]{1,92}$/);
    expect(children([...connections, ...others.connections]).length).toBe(
      new Set(children([...connections, ...others.connections])).size,
    );
  });
});
