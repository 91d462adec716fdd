/** IKE_SAs and their CHILD_SAs as charon tells of them (list-sa, ike-updown, child-updown, rekey events), in our terms. */
import type { ViciSection } from './message.ts';
import { listOf, numberOf, saysYes, sectionOf, sectionsOf, textOf } from './section.ts';

export interface IkeAssociation {
  /** Of the connection it was made by. */
  readonly connection: string;
  readonly id: number;
  readonly version: number;
  /** CREATED, CONNECTING, ESTABLISHED, PASSIVE, REKEYING, REKEYED, DELETING, DESTROYING. */
  readonly state: string;
  readonly initiator: boolean;
  readonly local: Endpoint;
  readonly remote: Endpoint;
  /** Somebody between the two rewrites addresses. */
  readonly nat: boolean;
  /** Seconds since it was established; undefined before. */
  readonly establishedSeconds: number | undefined;
  readonly rekeySeconds: number | undefined;
  /** Cipher, integrity, PRF and key exchanges by charon's names, joined with `/`. */
  readonly algorithms: string;
  readonly children: readonly ChildAssociation[];
}

export interface Endpoint {
  readonly address: string;
  readonly port: number;
  readonly id: string;
}

export interface ChildAssociation {
  readonly name: string;
  readonly id: number;
  readonly reqid: number;
  /** CREATED, ROUTED, INSTALLING, INSTALLED, UPDATING, REKEYING, REKEYED, RETRYING, DELETING, DELETED, DESTROYING. */
  readonly state: string;
  /** TRANSPORT, TUNNEL, BEET. */
  readonly mode: string;
  readonly protocol: string;
  readonly encapsulated: boolean;
  /** Hexadecimal, eight digits. */
  readonly spiIn: string;
  readonly spiOut: string;
  readonly bytesIn: number;
  readonly packetsIn: number;
  readonly bytesOut: number;
  readonly packetsOut: number;
  /** Seconds since the last packet; undefined when there was none. */
  readonly usedInSeconds: number | undefined;
  readonly usedOutSeconds: number | undefined;
  readonly rekeySeconds: number | undefined;
  readonly lifeSeconds: number | undefined;
  readonly installedSeconds: number | undefined;
  readonly algorithms: string;
  /** As charon writes selectors. */
  readonly localSelectors: readonly string[];
  readonly remoteSelectors: readonly string[];
}

/** A list-sa or updown message: usually one. */
export function readAssociations(message: ViciSection): IkeAssociation[] {
  return sectionsOf(message).map(([connection, section]) => readIke(connection, section));
}

/** `old` and `new` of an ike-rekey message. */
export function readIkeRekey(message: ViciSection): { old: IkeAssociation; new: IkeAssociation }[] {
  return sectionsOf(message).map(([connection, section]) => ({
    old: readIke(connection, sectionOf(section, 'old')),
    new: readIke(connection, sectionOf(section, 'new')),
  }));
}

/** The new ones of a child-rekey message, in their IKE_SA. */
export function readChildRekey(message: ViciSection): IkeAssociation[] {
  return sectionsOf(message).map(([connection, section]) => ({
    ...readIke(connection, section),
    children: sectionsOf(sectionOf(section, 'child-sas')).map(([name, both]) =>
      readChild(name, sectionOf(both, 'new')),
    ),
  }));
}

function readIke(connection: string, section: ViciSection): IkeAssociation {
  return {
    connection,
    id: numberOf(section, 'uniqueid') ?? 0,
    version: numberOf(section, 'version') ?? 0,
    state: textOf(section, 'state') ?? '',
    initiator: saysYes(section, 'initiator'),
    local: endpoint(section, 'local'),
    remote: endpoint(section, 'remote'),
    nat: ['nat-local', 'nat-remote', 'nat-any'].some((key) => saysYes(section, key)),
    establishedSeconds: numberOf(section, 'established'),
    rekeySeconds: numberOf(section, 'rekey-time'),
    algorithms: algorithms(section),
    children: sectionsOf(sectionOf(section, 'child-sas')).map(([name, child]) => readChild(name, child)),
  };
}

const endpoint = (section: ViciSection, side: 'local' | 'remote'): Endpoint => ({
  address: textOf(section, `${side}-host`) ?? '',
  port: numberOf(section, `${side}-port`) ?? 0,
  id: textOf(section, `${side}-id`) ?? '',
});

function readChild(uniqueName: string, section: ViciSection): ChildAssociation {
  return {
    name: textOf(section, 'name') ?? uniqueName,
    id: numberOf(section, 'uniqueid') ?? 0,
    reqid: numberOf(section, 'reqid') ?? 0,
    state: textOf(section, 'state') ?? '',
    mode: textOf(section, 'mode') ?? '',
    protocol: textOf(section, 'protocol') ?? '',
    encapsulated: saysYes(section, 'encap'),
    spiIn: textOf(section, 'spi-in') ?? '',
    spiOut: textOf(section, 'spi-out') ?? '',
    bytesIn: numberOf(section, 'bytes-in') ?? 0,
    packetsIn: numberOf(section, 'packets-in') ?? 0,
    bytesOut: numberOf(section, 'bytes-out') ?? 0,
    packetsOut: numberOf(section, 'packets-out') ?? 0,
    usedInSeconds: numberOf(section, 'use-in'),
    usedOutSeconds: numberOf(section, 'use-out'),
    rekeySeconds: numberOf(section, 'rekey-time'),
    lifeSeconds: numberOf(section, 'life-time'),
    installedSeconds: numberOf(section, 'install-time'),
    algorithms: algorithms(section),
    localSelectors: listOf(section, 'local-ts'),
    remoteSelectors: listOf(section, 'remote-ts'),
  };
}

function algorithms(section: ViciSection): string {
  const withSize = (kind: 'encr' | 'integ'): string | undefined => {
    const [name, size] = [textOf(section, `${kind}-alg`), textOf(section, `${kind}-keysize`)];
    return name === undefined || size === undefined ? name : `${name}-${size}`;
  };
  const exchanges = ['dh-group', ...[1, 2, 3, 4, 5, 6, 7].map((n) => `ake${n}`)];
  return [
    withSize('encr'),
    withSize('integ'),
    textOf(section, 'prf-alg'),
    ...exchanges.map((key) => textOf(section, key)),
  ]
    .filter((name) => name !== undefined)
    .join('/');
}
