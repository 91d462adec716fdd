/** The push of the configuration against a real directory, with what an edge does to it left out. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  addition,
  ADMINISTRATOR,
  type ServedDirectory,
  serveDirectory,
} from '../../../test/support/served-directory.ts';
import { systemClock } from '../../base/clock.ts';
import { POSTERN_CONTROL } from '../../ldap/postern-oid.ts';
import type { LdapClient } from '../../ldap/client.ts';
import { domainEntry, parseDomainInput } from '../organisation/domain.ts';
import { ConfigurationPush, type ConfigurationTarget, domainDigest } from './configuration-push.ts';
import { readEdgeState } from './edge-query.ts';
import { TransactionWriter } from './transaction-writer.ts';

const CONTAINERS = [
  'cn=Configuration',
  'cn=Hubs,cn=Configuration',
  'cn=Edges,cn=Configuration',
  'cn=AcceptedDomains,cn=Configuration',
  'cn=Sync',
];
const digestKey = Buffer.alloc(32, 3);

let served: ServedDirectory;
let client: LdapClient;
let changed: string[];

beforeEach(async () => {
  const name = (dn: string): string => dn.slice(3).split(',')[0] ?? '';
  served = await serveDirectory({
    directory: { contexts: ['cn=Configuration', 'cn=Sync'] },
    secrets: ['posternCredential', 'posternSealedKey'],
    hooks: { controls: [POSTERN_CONTROL.idempotent] },
    entries: [
      ...CONTAINERS.map((dn) => addition(dn, { objectClass: ['posternContainer'], cn: [name(dn)] })),
      ...['topology', 'domains'].map((kind) =>
        addition(`cn=${kind},cn=Sync`, {
          objectClass: ['posternSyncState'],
          cn: [kind],
          posternLoadState: ['none'],
        }),
      ),
    ],
  });
  client = await served.client({ name: ADMINISTRATOR.dn, password: ADMINISTRATOR.password });
  changed = [];
  served.directory.onChange((changes) => {
    for (const { before, after } of changes) {
      const dn = (after ?? before)?.dn ?? '';
      if (!dn.endsWith('cn=Sync')) changed.push(dn);
    }
  });
});
afterEach(() => served[Symbol.asyncDispose]());

function push(): ConfigurationPush {
  return new ConfigurationPush({
    client,
    writer: new TransactionWriter(client),
    epoch: 4,
    clock: systemClock,
  });
}

function node(kind: 'Hubs' | 'Edges', name: string, more: Record<string, string[]> = {}) {
  const attributes = {
    objectClass: [kind === 'Hubs' ? 'posternHub' : 'posternEdgeServer'],
    cn: [name],
    posternFqdn: [`${name}.example.org`],
    ...more,
  };
  return {
    dn: `cn=${name},cn=${kind},cn=Configuration`,
    attributes: Object.entries(attributes).map(([type, values]) => ({
      type,
      values: values.map((value) => Buffer.from(value)),
    })),
  };
}

function target(
  domains: readonly string[],
  { hubs = ['hub1'], credential = 'one' }: { hubs?: string[]; credential?: string } = {},
): ConfigurationTarget {
  return {
    digestKey,
    hubs: hubs.map((name) => node('Hubs', name)),
    edges: [node('Edges', 'edge1', { posternCredential: [credential] }), node('Edges', 'edge2')],
    domains: domains.map((domain) =>
      domainEntry(parseDomainInput({ domain }), 'cn=AcceptedDomains,cn=Configuration'),
    ),
  };
}

const credentialThere = (): string | undefined =>
  served.directory.readEntry('cn=edge1,cn=Edges,cn=Configuration')?.text('posternCredential');

describe('push of the configuration', () => {
  it('writes everything, with the state, and it is there when it resolves', async () => {
    await push().push(target(['example.org', 'example.net']));
    expect(changed.sort()).toEqual([
      'cn=edge1,cn=Edges,cn=Configuration',
      'cn=edge2,cn=Edges,cn=Configuration',
      'cn=example.net,cn=AcceptedDomains,cn=Configuration',
      'cn=example.org,cn=AcceptedDomains,cn=Configuration',
      'cn=hub1,cn=Hubs,cn=Configuration',
    ]);
    expect(await readEdgeState(client, 'topology')).toMatchObject({
      loadState: 'complete',
      digest: { count: 3 },
    });
    const domains = await readEdgeState(client, 'domains');
    expect(domains.loadState).toBe('complete');
    expect(
      domains.digest.equals(domainDigest(target(['example.net', 'example.org']).domains, digestKey)),
    ).toBe(true);
  });

  it('writes nothing but the state when nothing has changed', async () => {
    const one = push();
    await one.push(target(['example.org']));
    changed = [];
    await one.push(target(['example.org']));
    expect(changed).toEqual([]);
  });

  it('sealed values, which cannot be read back, are sent once over a connection, and when they change', async () => {
    await push().push(target([]));
    changed = [];
    client = await served.client();
    const next = push();
    await next.push(target([]));
    expect(changed).toEqual(['cn=edge1,cn=Edges,cn=Configuration']);
    changed = [];
    await next.push(target([], { credential: 'two' }));
    expect(changed).toEqual(['cn=edge1,cn=Edges,cn=Configuration']);
    expect(credentialThere()).toBe('two');
  });

  it('removes what is no more', async () => {
    const one = push();
    await one.push(target(['example.org', 'example.net'], { hubs: ['hub1', 'hub2'] }));
    changed = [];
    await one.push(target(['example.net']));
    expect(changed.sort()).toEqual([
      'cn=example.org,cn=AcceptedDomains,cn=Configuration',
      'cn=hub2,cn=Hubs,cn=Configuration',
    ]);
  });

  it('a domain whose removal the edge holds back is not removed again, and comes back whole', async () => {
    const one = push();
    await one.push(target(['example.org']));
    const dn = 'cn=example.org,cn=AcceptedDomains,cn=Configuration';
    const mark = { type: 'posternPendingDelete', values: [Buffer.from('20260101000000Z')] };
    await served.directory.apply([
      { request: { op: 'modifyRequest', dn, changes: [{ kind: 'add', attribute: mark }] } },
    ]);
    changed = [];
    await one.push(target([]));
    expect(changed).toEqual([]);
    await one.push(target(['example.org']));
    expect(changed).toEqual([dn]);
    expect(served.directory.readEntry(dn)?.values('posternPendingDelete')).toEqual([]);
  });

  it('many domains go in transactions of bounded size, the state with the last', async () => {
    const sizes: number[] = [];
    const stated: boolean[] = [];
    served.directory.onChange((changes) => {
      sizes.push(changes.length);
      stated.push(changes.some(({ after }) => after?.dn === 'cn=domains,cn=Sync'));
    });
    await push().push(target(Array.from({ length: 2500 }, (_, n) => `d${n}.example.org`)));
    expect(Math.max(...sizes)).toBe(1000);
    expect(stated.filter(Boolean)).toEqual([true]);
    expect(stated.at(-1)).toBe(true);
    expect((await readEdgeState(client, 'domains')).digest.count).toBe(2500);
  });

  it('rejects when the connection ends', async () => {
    const writer = new TransactionWriter(client);
    const one = new ConfigurationPush({ client, writer, epoch: 1, clock: systemClock });
    const pushed = one.push(target(['example.org']));
    client.destroy();
    await expect(pushed).rejects.toMatchObject({ code: 'ldap.closed' });
  });
});
