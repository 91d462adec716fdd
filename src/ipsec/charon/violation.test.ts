import { describe, expect, it } from 'vitest';
import {
  childAssociation,
  ikeAssociation,
  NOTHING_THERE,
  trapOf,
} from '../../../test/support/charon-state.ts';
import type { ChildAssociation } from '../../vici/association.ts';
import type { PlainSection } from '../../vici/section.ts';
import type { DesiredConnection, DesiredState } from '../desired.ts';
import type { ActualState } from './actual.ts';
import { readServiceNames } from './selector-text.ts';
import { judge } from './violation.ts';

const NAMES = readServiceNames('pop3 110/tcp\nimap2 143/tcp');

const CONNECTION: DesiredConnection = {
  name: 'postern-a',
  family: 'ipv4',
  local: { id: 'fe.example', addresses: ['10.66.0.1'], port: 500, certificate: 'own' },
  remote: { id: 'be.example', addresses: ['10.66.0.2'], port: 500, certificates: ['pin'] },
  ikeProposals: [],
  ikeRekeySeconds: 1,
  dpdSeconds: 1,
  encapsulate: false,
  children: [
    {
      name: 'postern-a-mail',
      localSelectors: [{ address: '10.66.0.1', protocol: 6, ports: [0, 65_535] }],
      remoteSelectors: [
        { address: '10.66.0.2', protocol: 6, ports: [110, 110] },
        { address: '10.66.0.2', protocol: 6, ports: [143, 143] },
      ],
      espProposals: [],
      rekeySeconds: 1,
      lifeSeconds: 1,
      startAction: 'trap',
      dpdAction: 'trap',
      closeAction: 'trap',
    },
  ],
};

const desired = (more: Partial<DesiredConnection> = {}): DesiredState => ({
  connections: [{ ...CONNECTION, ...more }],
  keys: [],
  bypasses: [],
  settings: { retransmitTimeout: 1, retransmitBase: 1, retransmitTries: 1 },
});

const GOOD: Partial<ChildAssociation> = {
  localSelectors: ['10.66.0.1/32[tcp]'],
  remoteSelectors: ['10.66.0.2/32[tcp/pop3]', '10.66.0.2/32[tcp/imap2]'],
  installedSeconds: 60,
  packetsOut: 100,
  packetsIn: 100,
};

const shown = (name: string, more: PlainSection = {}, remote: PlainSection = {}) => ({
  name,
  settings: {
    'local-1': { id: 'fe.example' },
    'remote-1': { id: 'be.example', certs: ['CN=be.example'], cacerts: [], ...remote },
    ...more,
  },
});

function actual(child: Partial<ChildAssociation> = {}, more: Partial<ActualState> = {}): ActualState {
  return {
    ...NOTHING_THERE,
    policies: [trapOf('postern-a', 'postern-a-mail')],
    associations: [ikeAssociation('postern-a', [childAssociation('postern-a-mail', { ...GOOD, ...child })])],
    connections: new Map([['postern-a', shown('postern-a')]]),
    ...more,
  };
}

const codes = (state: ActualState, wanted = desired(), clear = 0): string[] =>
  judge(wanted, state, NAMES, clear).map(({ code }) => code);

describe('violations', () => {
  it('are none where all is as it should be', () => {
    expect(codes(actual())).toEqual([]);
    expect(codes({ ...actual(), connections: undefined })).toEqual([]);
  });

  it.each<[code: string, state: () => ActualState]>([
    ['ipsec.tunnel-mode', () => actual({ mode: 'TUNNEL' })],
    ['ipsec.tunnel-mode', () => actual({}, { policies: [trapOf('postern-a', 'postern-a-mail', 'TUNNEL')] })],
    ['ipsec.selectors-narrowed', () => actual({ remoteSelectors: ['10.66.0.2/32[tcp/pop3]'] })],
    ['ipsec.selectors-narrowed', () => actual({ localSelectors: ['10.66.0.1/32[tcp/1024]'] })],
    ['ipsec.trap-missing', () => actual({}, { policies: [] })],
    ['ipsec.trap-missing', () => actual({}, { policies: [trapOf('somebody', 'postern-a-mail')] })],
    ['ipsec.no-traffic', () => actual({ packetsIn: 0 })],
    [
      'ipsec.nat',
      () =>
        actual(
          {},
          {
            associations: [
              ikeAssociation('postern-a', [childAssociation('postern-a-mail', GOOD)], { nat: true }),
            ],
          },
        ),
    ],
    [
      'ipsec.unpinned',
      () => actual({}, { connections: new Map([['postern-a', shown('postern-a', {}, { certs: [] })]]) }),
    ],
    [
      'ipsec.unpinned',
      () =>
        actual({}, { connections: new Map([['postern-a', shown('postern-a', {}, { certs: ['a', 'b'] })]]) }),
    ],
    [
      'ipsec.unpinned',
      () =>
        actual({}, { connections: new Map([['postern-a', shown('postern-a', {}, { cacerts: ['CN=CA'] })]]) }),
    ],
    [
      'ipsec.unpinned',
      () => actual({}, { connections: new Map([['postern-a', { name: 'postern-a', settings: {} }]]) }),
    ],
    [
      'ipsec.conflict',
      () =>
        actual(
          {},
          {
            connections: new Map([
              ['postern-a', shown('postern-a')],
              ['office', shown('office')],
            ]),
          },
        ),
    ],
  ])('%s', (code, state) => {
    expect(codes(state())).toEqual([code]);
  });

  it('say what is missing, in words', () => {
    const [narrowed] = judge(desired(), actual({ remoteSelectors: ['10.66.0.2/32[tcp/pop3]'] }), NAMES);
    expect(narrowed?.text).toContain('not to 10.66.0.2 protocol 6 port 143');
  });

  it('are not claimed where they are not certain', () => {
    // A port by a name that is not in /etc/services here; an association that is too young; one that is going.
    expect(codes(actual({ remoteSelectors: ['10.66.0.2/32[tcp/unheard-of]'] }))).toEqual([]);
    expect(codes(actual({ packetsIn: 0, installedSeconds: 3 }))).toEqual([]);
    expect(codes(actual({ packetsIn: 0, packetsOut: 1 }))).toEqual([]);
    expect(codes(actual({ mode: 'TUNNEL', state: 'DELETED' }))).toEqual([]);
    const nat = ikeAssociation('postern-a', [childAssociation('postern-a-mail', GOOD)], { nat: true });
    expect(codes(actual({}, { associations: [nat] }), desired({ encapsulate: true }))).toEqual([]);
  });

  it('are not looked for at other people’s', () => {
    const tunnel = ikeAssociation('office', [childAssociation('net', { mode: 'TUNNEL' })], { nat: true });
    const office = shown('office', { 'remote-1': { id: 'other.example' } });
    expect(
      codes(
        actual(
          {},
          {
            associations: [tunnel],
            connections: new Map([
              ['postern-a', shown('postern-a')],
              ['office', office],
            ]),
          },
        ),
      ),
    ).toEqual([]);
  });

  it('have the clear text that was met', () => {
    expect(judge(desired(), actual(), NAMES, 7)).toMatchObject([
      { code: 'ipsec.clear-text', connection: '', text: expect.stringMatching(/^7 packets/) as string },
    ]);
  });
});
