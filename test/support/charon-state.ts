/** What a charon may hold, made up: for the pure parts that look at it. */
import type { ActualState } from '../../src/ipsec/charon/actual.ts';
import type { ChildAssociation, IkeAssociation } from '../../src/vici/association.ts';

export const NOTHING_THERE: ActualState = {
  names: new Set(),
  connections: new Map(),
  keys: new Set(),
  associations: [],
  policies: [],
  kernel: undefined,
};

export function childAssociation(name: string, more: Partial<ChildAssociation> = {}): ChildAssociation {
  return {
    name,
    id: 1,
    reqid: 1,
    state: 'INSTALLED',
    mode: 'TRANSPORT',
    protocol: 'ESP',
    encapsulated: false,
    spiIn: 'c0000001',
    spiOut: 'c0000002',
    bytesIn: 0,
    packetsIn: 0,
    bytesOut: 0,
    packetsOut: 0,
    usedInSeconds: undefined,
    usedOutSeconds: undefined,
    rekeySeconds: 3000,
    lifeSeconds: 3900,
    installedSeconds: 1,
    algorithms: 'AES_GCM_16-256',
    localSelectors: [],
    remoteSelectors: [],
    ...more,
  };
}

export function ikeAssociation(
  connection: string,
  children: readonly ChildAssociation[] = [],
  more: Partial<IkeAssociation> = {},
): IkeAssociation {
  return {
    connection,
    id: 1,
    version: 2,
    state: 'ESTABLISHED',
    initiator: true,
    local: { address: '10.66.0.1', port: 500, id: 'fe.example' },
    remote: { address: '10.66.0.2', port: 500, id: 'be.example' },
    nat: false,
    establishedSeconds: 1,
    rekeySeconds: 14_000,
    algorithms: 'AES_GCM_16-256/PRF_HMAC_SHA2_384/ECP_384',
    children,
    ...more,
  };
}

export const trapOf = (connection: string, child: string, mode = 'TRANSPORT') => ({
  name: `${connection}/${child}`,
  connection,
  child,
  mode,
  localSelectors: ['10.66.0.1/32[tcp]'],
  remoteSelectors: ['10.66.0.2/32[tcp/pop3]', '10.66.0.2/32[tcp/imap2]'],
});
