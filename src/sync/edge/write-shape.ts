/**
 * Where hubs write, and in which shape: whole entries directly below the containers, with the attributes that belong there, under
 * their own names. Whatever is odd (another class, an option, an OID, the guard's own marks, a child of a recipient) is refused: it would
 * stand outside what lookups, digest and removal guard see. Pure over parsed names; knows no lease and no counts.
 */
import type { Name } from '../../directory/entry/name.ts';
import type { AddRequest, Attribute, ModifyRequest } from '../../ldap/message.ts';
import { isNodeName } from '../../credential/account-name.ts';
import { readDomain } from '../organisation/domain.ts';

export type Place = 'recipients' | 'domains' | 'hubs' | 'edges' | 'state';

/** The containers; hubs write directly below them and nowhere else. */
export const PLACES: Readonly<Record<Place, string>> = {
  recipients: 'cn=Recipients',
  domains: 'cn=AcceptedDomains,cn=Configuration',
  hubs: 'cn=Hubs,cn=Configuration',
  edges: 'cn=Edges,cn=Configuration',
  state: 'cn=Sync',
};

/** Most entries of a container that is read as a whole whenever it changes. */
export const MOST_ENTRIES: Readonly<Partial<Record<Place, number>>> = { hubs: 1000, edges: 1000 };

interface Shape {
  readonly objectClass: string;
  readonly attributes: ReadonlySet<string>;
  readonly isName: (cn: string) => boolean;
}

/** A GUID as `guidText` writes it. */
const GUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

const TOPOLOGY = [
  'posternFqdn',
  'posternPort',
  'posternCertificate',
  'posternStatement',
  'posternCredential',
  'posternSealedKey',
  'description',
];

const SHAPES: Readonly<Record<Exclude<Place, 'state'>, Shape>> = {
  recipients: {
    objectClass: 'posternrecipient',
    attributes: names('posternAddress', 'posternRecipientKind'),
    isName: (cn) => GUID.test(cn),
  },
  domains: {
    objectClass: 'posternaccepteddomain',
    attributes: names(
      'posternDomainKind',
      'posternCatchAll',
      'posternRecipientDelimiter',
      'posternMaxAge',
      'description',
    ),
    isName: (cn) => cn !== '',
  },
  hubs: { objectClass: 'posternhub', attributes: names(...TOPOLOGY), isName: isNodeName },
  edges: { objectClass: 'posternedgeserver', attributes: names(...TOPOLOGY), isName: isNodeName },
};

const STATE = names(
  'posternCookie',
  'posternContentDigest',
  'posternEntryCount',
  'posternLoadState',
  'posternLastConfirmed',
  'posternMappingVersion',
  'posternSyncEpoch',
  'posternPlannedRemovals',
);
const LOAD_STATES: readonly string[] = ['none', 'loading', 'complete'];

/** What is wrong with an add of that name at that place; undefined when nothing is. */
export function crookedAdd(
  place: Exclude<Place, 'state'>,
  name: Name,
  request: AddRequest,
): string | undefined {
  const shape = SHAPES[place];
  const cn = plainName(name);
  if (cn === undefined || !shape.isName(cn)) return `the name of an entry of ${place} is another`;
  let classed = false;
  for (const { type, values } of request.attributes) {
    if (shape.attributes.has(type)) continue;
    const attribute = type.toLowerCase();
    if (shape.attributes.has(attribute)) continue;
    if (attribute === 'objectclass')
      classed = values.length === 1 && text(values[0]).toLowerCase() === shape.objectClass;
    else if (attribute !== 'cn') return `${type.slice(0, 100)} is nothing that hubs write in ${place}`;
    else if (values.length !== 1 || text(values[0]) !== cn) return 'cn is the name and nothing else';
  }
  if (!classed) return `the class of an entry of ${place} is another`;
  if (place !== 'domains') return undefined;
  return readDomain([...request.attributes, cnAttribute(cn)]) === undefined
    ? 'not a domain that lookups can read'
    : undefined;
}

/** The same for a modification of a data kind's state. */
export function crookedState({ changes }: ModifyRequest): string | undefined {
  for (const { attribute } of changes) {
    const type = attribute.type.toLowerCase();
    if (!STATE.has(type)) return `${attribute.type.slice(0, 100)} is nothing that hubs write in cn=Sync`;
    if (type === 'posternloadstate' && !attribute.values.every((value) => LOAD_STATES.includes(text(value))))
      return 'no such load state';
  }
  return undefined;
}

/** The value of a name that consists of cn alone. */
function plainName(name: Name): string | undefined {
  const [part, ...others] = name.parts;
  return part?.type.name === 'cn' && others.length === 0 ? text(part.value) : undefined;
}

function cnAttribute(cn: string): Attribute {
  return { type: 'cn', values: [Buffer.from(cn)] };
}

function text(value: Buffer | undefined): string {
  return value?.toString('utf8') ?? '';
}

/** As they are usually spelt, and in lower case. */
function names(...list: string[]): ReadonlySet<string> {
  return new Set(list.flatMap((name) => [name, name.toLowerCase()]));
}
