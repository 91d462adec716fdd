/**
 * Hubs and edges as directory objects: where they stand in the configuration directory (inside) and in the edge directory, and their attributes both
 * ways. The same two object classes are used in both trees; names hold no character that a DN would have to escape. Pure.
 */
import type { AddRequest, Attribute } from '../ldap/message.ts';
import type { PosternAttribute } from '../ldap/postern-oid.ts';
import { isNodeName } from '../credential/account-name.ts';

/** `cn=Postern,<base>`; `base` empty in the embedded configuration directory. */
export function configurationBase(base = ''): string {
  return base === '' ? 'cn=Postern' : `cn=Postern,${base}`;
}

export function siteDn(site: string, base?: string): string {
  return `cn=${site},cn=Sites,${configurationBase(base)}`;
}

export function hubDn(hub: string, site: string, base?: string): string {
  return `cn=${hub},cn=Hubs,${siteDn(site, base)}`;
}

export function edgeDn(edge: string, site: string, base?: string): string {
  return `cn=${edge},cn=Edges,${siteDn(site, base)}`;
}

/** In the edge directory. */
export const EDGE_DIRECTORY_HUBS = 'cn=Hubs,cn=Configuration';
export const EDGE_DIRECTORY_EDGES = 'cn=Edges,cn=Configuration';

/** The containers of a site, in an order in which they can be added. */
export function siteContainers(site: string, base?: string): AddRequest[] {
  const top = configurationBase(base);
  const dn = siteDn(site, base);
  return [
    top,
    `cn=Sites,${top}`,
    dn,
    ...['Hubs', 'Edges', 'AcceptedDomains'].map((name) => `cn=${name},${dn}`),
  ].map((container) =>
    addRequest(
      container,
      'posternContainer',
      container.slice(3, container.indexOf(',') < 0 ? undefined : container.indexOf(',')),
      {},
    ),
  );
}

/** A hub or an edge as its object says: claims of whoever could write there, not facts. */
export interface TopologyObject {
  readonly name: string;
  readonly fqdn: string;
  readonly port: number | undefined;
  /** DER; the current one first. */
  readonly certificates: readonly Buffer[];
  readonly statements: readonly Buffer[];
  readonly credentials: readonly Buffer[];
  readonly sealedKeys: readonly Buffer[];
}

export type NewTopologyObject = Pick<TopologyObject, 'name' | 'fqdn' | 'certificates'> &
  Partial<TopologyObject>;

export function addTopologyObject(
  dn: string,
  objectClass: 'posternHub' | 'posternEdgeServer',
  object: NewTopologyObject,
): AddRequest {
  return addRequest(dn, objectClass, object.name, {
    posternFqdn: [Buffer.from(object.fqdn)],
    posternPort: object.port === undefined ? [] : [Buffer.from(String(object.port))],
    posternCertificate: object.certificates,
    posternStatement: object.statements ?? [],
    posternCredential: object.credentials ?? [],
    posternSealedKey: object.sealedKeys ?? [],
  });
}

function addRequest(
  dn: string,
  objectClass: string,
  cn: string,
  attributes: Partial<Record<PosternAttribute, readonly Buffer[]>>,
): AddRequest {
  const rest = Object.entries(attributes).filter(([, values]) => values.length > 0);
  return {
    op: 'addRequest',
    dn,
    attributes: [
      { type: 'objectClass', values: [Buffer.from(objectClass)] },
      { type: 'cn', values: [Buffer.from(cn)] },
      ...rest.map(([type, values]) => ({ type, values })),
    ],
  };
}

/** The object behind an entry's attributes; `undefined` when it has no usable name or host name. */
/** What says who a hub or an edge is. The rest of an object grows with the number of its pairs. */
export const WHO_IT_IS = [
  'cn',
  'posternFqdn',
  'posternPort',
  'posternCertificate',
  'posternStatement',
] as const;

export function readTopologyObject(attributes: readonly Attribute[]): TopologyObject | undefined {
  const values = (type: string): readonly Buffer[] =>
    attributes.find((one) => one.type.toLowerCase() === type.toLowerCase())?.values ?? [];
  const name = values('cn')[0]?.toString('utf8') ?? '';
  const fqdn = values('posternFqdn')[0]?.toString('utf8') ?? '';
  if (!isNodeName(name) || fqdn === '') return undefined;
  const port = values('posternPort')[0]?.toString('latin1') ?? '';
  return {
    name,
    fqdn,
    port: /^[1-9]\d{0,4}$/.test(port) && Number(port) <= 65_535 ? Number(port) : undefined,
    certificates: values('posternCertificate'),
    statements: values('posternStatement'),
    credentials: values('posternCredential'),
    sealedKeys: values('posternSealedKey'),
  };
}

/** What an edge is given of a hub: who it is, never its own credentials. */
export function hubForEdge(hub: TopologyObject): AddRequest {
  return addTopologyObject(`cn=${hub.name},${EDGE_DIRECTORY_HUBS}`, 'posternHub', {
    name: hub.name,
    fqdn: hub.fqdn,
    certificates: hub.certificates,
    statements: hub.statements,
  });
}

/** What an edge is given of itself, with the credentials and keys that are sealed to it. */
export function edgeForEdge(edge: TopologyObject): AddRequest {
  return addTopologyObject(`cn=${edge.name},${EDGE_DIRECTORY_EDGES}`, 'posternEdgeServer', {
    name: edge.name,
    fqdn: edge.fqdn,
    port: edge.port,
    certificates: edge.certificates,
    statements: edge.statements,
    credentials: edge.credentials,
    sealedKeys: edge.sealedKeys,
  });
}
