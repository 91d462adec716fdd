/** What a hub may write where, by name and shape. What is refused here would stand outside lookups, digest or guard. */
import { describe, expect, it } from 'vitest';
import { NameReader } from '../../directory/entry/name.ts';
import { standardSchema } from '../../directory/schema/standard.ts';
import type { AddRequest, ModifyRequest } from '../../ldap/message.ts';
import { POSTERN_ATTRIBUTE } from '../../ldap/postern-oid.ts';
import { crookedAdd, crookedState, type Place, PLACES } from './write-shape.ts';

const names = new NameReader(standardSchema());
const GUID = '00000000-0000-4000-8000-000000000001';
const HASH = Buffer.alloc(16, 7);
type Values = Record<string, (string | Buffer)[]>;

function add(place: Exclude<Place, 'state'>, rdn: string, values: Values): string | undefined {
  const dn = `${rdn},${PLACES[place]}`;
  const name = names.read(dn);
  if (name === undefined) throw new Error('no name');
  const attributes = Object.entries(values).map(([type, list]) => ({
    type,
    values: list.map((v) => Buffer.from(v)),
  }));
  const request: AddRequest = { op: 'addRequest', dn, attributes };
  return crookedAdd(place, name, request);
}

const RECIPIENT: Values = {
  objectClass: ['posternRecipient'],
  posternAddress: [HASH],
  posternRecipientKind: ['user'],
};
const DOMAIN: Values = { objectClass: ['posternAcceptedDomain'], posternDomainKind: ['authoritative'] };
const HUB: Values = { objectClass: ['posternHub'], posternFqdn: ['hub1.example'] };

describe('what hubs put', () => {
  it.each<[string, Exclude<Place, 'state'>, string, Values]>([
    ['a recipient', 'recipients', `cn=${GUID}`, RECIPIENT],
    ['a recipient by another spelling', 'recipients', `2.5.4.3=${GUID}`, { ...RECIPIENT, CN: [GUID] }],
    ['a recipient without addresses', 'recipients', `cn=${GUID}`, { OBJECTCLASS: ['POSTERNRECIPIENT'] }],
    ['a domain', 'domains', 'cn=example.org', { ...DOMAIN, cn: ['example.org'], posternMaxAge: ['3600'] }],
    ['a hub', 'hubs', 'cn=hub1', { ...HUB, posternCertificate: [HASH], posternStatement: [HASH] }],
    [
      'an edge',
      'edges',
      'cn=edge1',
      { ...HUB, objectClass: ['posternEdgeServer'], posternCredential: [HASH] },
    ],
  ])('%s', (_what, place, rdn, values) => {
    expect(add(place, rdn, values)).toBeUndefined();
  });

  it.each<[string, Exclude<Place, 'state'>, string, Values]>([
    [
      'the mark of a deletion held back',
      'recipients',
      `cn=${GUID}`,
      { ...RECIPIENT, posternPendingDelete: ['20260101000000Z'] },
    ],
    [
      'the mark of an address held back',
      'recipients',
      `cn=${GUID}`,
      { ...RECIPIENT, posternPendingAddress: [HASH] },
    ],
    [
      'the mark of a removal rejected',
      'recipients',
      `cn=${GUID}`,
      { ...RECIPIENT, posternKept: ['20260101000000Z'] },
    ],
    ['addresses under an option', 'recipients', `cn=${GUID}`, { ...RECIPIENT, 'posternAddress;x-a': [HASH] }],
    [
      'addresses under their OID',
      'recipients',
      `cn=${GUID}`,
      { objectClass: ['posternRecipient'], [POSTERN_ATTRIBUTE.posternAddress]: [HASH] },
    ],
    ['another class', 'recipients', `cn=${GUID}`, { objectClass: ['posternContainer'] }],
    [
      'two classes',
      'recipients',
      `cn=${GUID}`,
      { ...RECIPIENT, objectClass: ['posternRecipient', 'extensibleObject'] },
    ],
    ['no class', 'recipients', `cn=${GUID}`, { posternAddress: [HASH] }],
    ['a name that is no GUID', 'recipients', 'cn=somebody', RECIPIENT],
    ['a GUID in capitals', 'recipients', `cn=${GUID.replace('4000', 'A000')}`, RECIPIENT],
    ['a name of two values', 'recipients', `cn=${GUID}+posternRecipientKind=user`, RECIPIENT],
    [
      'another cn beside the name',
      'recipients',
      `cn=${GUID}`,
      { ...RECIPIENT, cn: [GUID.replace('1', '2'), GUID] },
    ],
    ['a domain of another class', 'domains', 'cn=example.org', { objectClass: ['posternContainer'] }],
    ['a domain of no known kind', 'domains', 'cn=example.org', { ...DOMAIN, posternDomainKind: ['none'] }],
    ['a domain without its kind', 'domains', 'cn=example.org', { objectClass: ['posternAcceptedDomain'] }],
    ['a domain under another name', 'domains', 'cn=example.org', { ...DOMAIN, cn: ['example.net'] }],
    ['the mark on a domain', 'domains', 'cn=example.org', { ...DOMAIN, posternKept: ['20260101000000Z'] }],
    ['a hub as an edge', 'hubs', 'cn=hub1', { ...HUB, objectClass: ['posternEdgeServer'] }],
    ['a hub with a name of two labels', 'hubs', 'cn=hub1.example', HUB],
  ])('never %s', (_what, place, rdn, values) => {
    expect(add(place, rdn, values)).toBeTypeOf('string');
  });
});

describe('the state of a kind of data', () => {
  const state = (type: string, ...values: string[]): string | undefined => {
    const request: ModifyRequest = {
      op: 'modifyRequest',
      dn: 'cn=recipients,cn=Sync',
      changes: [{ kind: 'replace', attribute: { type, values: values.map((v) => Buffer.from(v)) } }],
    };
    return crookedState(request);
  };

  it('is written under the names of its attributes only', () => {
    expect(state('posternLastConfirmed', '20260101000000Z')).toBeUndefined();
    expect(state('POSTERNCOOKIE')).toBeUndefined();
    // Or a time in the future would pass by the edge's clock under another name.
    expect(state(POSTERN_ATTRIBUTE.posternLastConfirmed, '20990101000000Z')).toBeTypeOf('string');
    expect(state('posternLastConfirmed;x-a', '20990101000000Z')).toBeTypeOf('string');
    expect(state('description', 'x')).toBeTypeOf('string');
  });

  it('is one of three', () => {
    expect(['none', 'loading', 'complete'].map((value) => state('posternLoadState', value))).toEqual(
      Array.from({ length: 3 }),
    );
    expect(state('posternLoadState', 'Complete')).toBeTypeOf('string');
  });
});
