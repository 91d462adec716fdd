import { describe, expect, it } from 'vitest';
import {
  addTopologyObject,
  configurationBase,
  edgeDn,
  edgeForEdge,
  hubDn,
  hubForEdge,
  readTopologyObject,
  siteContainers,
} from './topology-objects.ts';

const edge = {
  name: 'edge1',
  fqdn: 'edge1.example',
  port: 50636,
  certificates: [Buffer.from('c')],
  statements: [Buffer.from('s')],
  credentials: [Buffer.from('secret 1')],
  sealedKeys: [Buffer.from('secret 2')],
};

describe('topology objects', () => {
  it('stand where docs/architecture.md says', () => {
    expect(configurationBase()).toBe('cn=Postern');
    expect(edgeDn('edge1', 'Berlin')).toBe('cn=edge1,cn=Edges,cn=Berlin,cn=Sites,cn=Postern');
    expect(hubDn('hub1', 'Berlin', 'dc=example,dc=org')).toBe(
      'cn=hub1,cn=Hubs,cn=Berlin,cn=Sites,cn=Postern,dc=example,dc=org',
    );
    expect(hubForEdge({ ...edge, name: 'hub1' }).dn).toBe('cn=hub1,cn=Hubs,cn=Configuration');
    expect(edgeForEdge(edge).dn).toBe('cn=edge1,cn=Edges,cn=Configuration');
  });

  it('come back as they were written', () => {
    expect(readTopologyObject(addTopologyObject('cn=edge1', 'posternEdgeServer', edge).attributes)).toEqual(
      edge,
    );
    const least = { name: 'hub1', fqdn: 'hub1.example', certificates: [] };
    expect(readTopologyObject(addTopologyObject('cn=hub1', 'posternHub', least).attributes)).toEqual({
      ...least,
      port: undefined,
      statements: [],
      credentials: [],
      sealedKeys: [],
    });
  });

  it('give an edge its own secrets, and nothing that is a hub’s', () => {
    const pushed = (request: { attributes: readonly unknown[] }): string =>
      JSON.stringify(request.attributes);
    const secret = JSON.stringify(Buffer.from('secret 1')).slice(0, -1);
    expect(pushed(edgeForEdge(edge))).toContain(secret);
    expect(pushed(hubForEdge(edge))).not.toContain(secret);
    expect(readTopologyObject(edgeForEdge(edge).attributes)).toEqual(edge);
  });

  it('without a usable name are none', () => {
    const attributes = [
      { type: 'CN', values: [Buffer.from('edge1')] },
      { type: 'posternfqdn', values: [Buffer.from('edge1.example')] },
      { type: 'posternPort', values: [Buffer.from('many')] },
    ];
    expect(readTopologyObject(attributes)).toMatchObject({ name: 'edge1', port: undefined });
    expect(readTopologyObject(attributes.slice(1))).toBeUndefined();
    expect(readTopologyObject(attributes.slice(0, 1))).toBeUndefined();
    expect(
      readTopologyObject([{ type: 'cn', values: [Buffer.from('a,cn=b')] }, ...attributes.slice(1)]),
    ).toBeUndefined();
  });

  it('the containers of a site can be added in order', () => {
    const added = siteContainers('Berlin', 'dc=example').map((request) => request.dn);
    expect(added[0]).toBe('cn=Postern,dc=example');
    for (const dn of added.slice(1))
      expect(added.slice(0, added.indexOf(dn))).toContain(dn.slice(dn.indexOf(',') + 1));
    expect(siteContainers('Berlin')[0]?.attributes).toEqual([
      { type: 'objectClass', values: [Buffer.from('posternContainer')] },
      { type: 'cn', values: [Buffer.from('Postern')] },
    ]);
  });
});
