/** The embedded configuration directory, with the organisation on top of it and an LDAP client on its unix socket. */
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeEdge, makeHub } from '../../../test/support/subscription-site.ts';
import { systemClock } from '../../base/clock.ts';
import { systemFiles } from '../../base/files.ts';
import { Lifecycle } from '../../base/lifecycle.ts';
import { silentLog } from '../../base/log.ts';
import { systemRandom } from '../../base/random.ts';
import { resultCodeOf } from '../../ldap/client-error.ts';
import { connectLdap } from '../../ldap/client.ts';
import { createSubscription } from '../../subscription/edge-subscription.ts';
import { readSubscriptionFile } from '../../subscription/file-reader.ts';
import type { ConfigurationDirectory } from '../../sync/organisation/configuration-directory.ts';
import { parseDomainInput } from '../../sync/organisation/domain.ts';
import { Organisation } from '../../sync/organisation/organisation.ts';
import { embedded, openConfiguration } from './configuration.ts';

let data: string;
let lifecycle: Lifecycle;

beforeEach(async () => {
  data = await mkdtemp(join(tmpdir(), 'postern-configuration-'));
  lifecycle = new Lifecycle(silentLog);
});
afterEach(async () => {
  await lifecycle.stop();
  await rm(data, { recursive: true });
});

async function open(): Promise<ConfigurationDirectory> {
  const { directory } = await openConfiguration(
    {
      data,
      files: systemFiles,
      clock: systemClock,
      random: systemRandom,
      log: silentLog,
      onFatal: () => undefined,
    },
    lifecycle,
  );
  return embedded(directory);
}

async function organisationWithEdge() {
  const directory = await open();
  const [edge, hub] = [await makeEdge(), await makeHub()];
  const organisation = new Organisation({
    directory,
    trust: hub.node.store,
    hub: hub.hub,
    site: 'Default-Site',
  });
  await organisation.ensure();
  const { bytes } = await createSubscription(edge.deps);
  const now = hub.clock.now() + 1000;
  await organisation.importSubscription({ file: readSubscriptionFile(bytes), now, random: systemRandom });
  return { directory, organisation, now, hub };
}

describe('the embedded configuration directory', () => {
  it('answers for what is not there', async () => {
    const directory = await open();
    expect(await directory.read('cn=Postern')).toBeUndefined();
    expect(await directory.list('cn=Nothing,cn=Postern')).toEqual([]);
  });

  it('makes all changes or none', async () => {
    const directory = await open();
    const add = (dn: string) => ({
      op: 'addRequest' as const,
      dn,
      attributes: [
        { type: 'objectClass', values: [Buffer.from('posternContainer')] },
        { type: 'cn', values: [Buffer.from(dn.slice(3).split(',')[0] ?? '')] },
      ],
    });
    const failed = directory.apply([add('cn=Postern'), add('cn=A,cn=Missing,cn=Postern')]);
    expect(resultCodeOf(await failed.catch((error: unknown) => error))).toBe(32);
    expect(await directory.read('cn=Postern')).toBeUndefined();
  });

  it('holds site, hub, edge and domains, and still does after a restart', async () => {
    const { organisation, hub, now } = await organisationWithEdge();
    await organisation.putDomain(parseDomainInput({ domain: 'Example.org', recipientDelimiter: '+' }));
    await organisation.putDomain(parseDomainInput({ domain: 'example.net' }));
    const before = (await organisation.domains()).find(({ domain }) => domain === 'example.org');
    const changed = parseDomainInput({ domain: 'example.org', kind: 'internalRelay' }, before);
    // What was not named stays: a delimiter that vanished would bounce mail.
    expect(changed.recipientDelimiter).toBe(before?.recipientDelimiter);
    await organisation.putDomain(changed);
    await organisation.removeDomain('example.net');
    await lifecycle.stop();
    lifecycle = new Lifecycle(silentLog);
    const again = new Organisation({
      directory: await open(),
      trust: hub.node.store,
      hub: hub.hub,
      site: 'Default-Site',
    });
    await again.ensure();
    expect((await again.domains()).map(({ domain, kind }) => `${domain} ${kind}`)).toEqual([
      'example.org internalRelay',
    ]);
    expect(await again.edgeNames()).toEqual(['edge1']);
    const target = await again.target('edge1', now);
    expect(target.bootstrap?.userName).toBe('ESRA.edge1');
    expect(target.domains).toHaveLength(1);
    await again.established('edge1', now);
    expect((await again.target('edge1', now)).bootstrap).toBeUndefined();
    await again.removeSubscription('edge1');
    expect(await again.edgeNames()).toEqual([]);
  });

  it('shows everything but sealed records on a socket of its own user only', async () => {
    await organisationWithEdge();
    const path = join(data, 'ldapi');
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    await using client = await connectLdap({ target: { kind: 'unix', path }, clock: systemClock });
    const seen = new Set<string>();
    const names: string[] = [];
    for await (const { operation } of client.search({ base: 'cn=Postern', attributes: ['*', '+'] })) {
      if (operation.op !== 'searchResultEntry') continue;
      names.push(operation.dn);
      for (const { type } of operation.attributes) seen.add(type);
    }
    expect(names).toContain('cn=edge1,cn=Edges,cn=Default-Site,cn=Sites,cn=Postern');
    expect(seen).toContain('posternStatement');
    expect(seen).not.toContain('posternCredential');
    expect(seen).not.toContain('posternSealedKey');
    const hidden = client.search({
      base: 'cn=Postern',
      filter: { kind: 'present', attribute: 'posternCredential' },
    });
    for await (const item of hidden) expect(item).toBeUndefined();
    const denied = await client
      .delete('cn=edge1,cn=Edges,cn=Default-Site,cn=Sites,cn=Postern')
      .result.catch((error: unknown) => error);
    expect(resultCodeOf(denied)).toBe(50);
  });
});
