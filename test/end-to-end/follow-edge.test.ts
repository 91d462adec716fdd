/** Followers of an edge (RFC 4533), by its administrator's socket: a slapd with syncrepl, and our own client. */
import { stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { Secret } from '../../src/base/secret.ts';
import { POSTERN_SCHEMA } from '../../src/directory/schema/definitions/postern.ts';
import { connectLdap } from '../../src/ldap/client.ts';
import { parseFilter } from '../../src/ldap/filter.ts';
import { ask } from '../support/directory-questions.ts';
import { Deployment } from '../support/deployment.ts';
import { type Slapd, startSlapd } from '../support/slapd.ts';
import { Consumer, Follower, shown } from '../support/sync-consumer.ts';
import { until } from '../support/until.ts';

/** Our schema in the words of slapd.conf: slapd does not have the matching rule of the hashes, and operational attributes are its own. */
const SCHEMA = POSTERN_SCHEMA.replaceAll('posternAddressMatch', 'octetStringMatch').replaceAll(
  /NO-USER-MODIFICATION USAGE (?:directory|dSA)Operation/g,
  '',
);
const BASE = 'cn=Recipients';
const QUESTION = {
  base: BASE,
  filter: parseFilter('(objectClass=*)'),
  attributes: ['objectClass', 'cn', 'posternAddress', 'posternRecipientKind', 'entryUUID'],
};

const people = (from: number, to: number): string =>
  Array.from(
    { length: to - from },
    (_, n) =>
      `dn: cn=p${n + from},dc=example,dc=org\nobjectClass: inetOrgPerson\ncn: p${n + from}\nsn: x\nmail: p${n + from}@example.org\n`,
  ).join('\n');

async function contentOf(target: string, account?: Slapd): Promise<string> {
  const client = await connectLdap({ target, clock: systemClock });
  try {
    if (account !== undefined) await client.bind(account.adminDn, new Secret(account.adminPassword));
    const { entries } = await ask(client, QUESTION);
    const lines = Object.entries(entries).map(
      ([dn, attributes]) => `${dn} ${JSON.stringify(Object.entries(attributes).sort())}`,
    );
    return lines.sort().join('\n');
  } finally {
    client.destroy();
  }
}

it('a slapd and our own client follow what the hub pushes, over a restart of the edge, and get no secret', async () => {
  await using site = await Deployment.create(async (folder) => {
    await writeFile(join(folder, 'people.ldif'), people(0, 50));
    return { source: { kind: 'ldif', path: join(folder, 'people.ldif') } };
  });
  await site.startEdge();
  await site.startHub();
  await site.subscribe();
  await site.hubOk('domain', 'add', 'example.org');
  const socket = join(site.edgeData, 'ldapi');
  expect((await stat(socket)).mode & 0o777).toBe(0o600);
  const edge = `ldapi://${encodeURIComponent(socket)}`;
  const ours = await connectLdap({ target: edge, clock: systemClock });
  const follower = new Follower(ours, new Consumer(), { base: 'cn=Configuration' });

  // The same top entry on both sides: a consumer does not replace one that it has under another UUID.
  const top = /^cn=Recipients .*\["entryUUID",\["([0-9a-f-]{36})"\]\]/m.exec(await contentOf(edge))?.[1];
  await using slapd = await startSlapd({
    suffix: BASE,
    schemaText: SCHEMA,
    ldif: `dn: ${BASE}\nobjectClass: posternContainer\ncn: Recipients\nentryUUID: ${top}\n`,
    databaseConfig: [
      `syncrepl rid=001 provider=${edge} searchbase="${BASE}" type=refreshAndPersist retry="1 +" bindmethod=simple schemachecking=off`,
    ],
  });
  const equal = async (): Promise<void> => {
    const wanted = await contentOf(edge);
    await until(
      'the follower equals the edge',
      () => contentOf(slapd.url, slapd),
      (found) => found === wanted,
    );
  };
  await site.hubOk('sync', 'run');
  expect((await contentOf(edge)).split('\n')).toHaveLength(51);
  await equal();

  await writeFile(join(site.folder, 'people.ldif'), people(10, 70));
  await site.hubOk('sync', 'run', '--full');
  expect((await contentOf(edge)).split('\n')).toHaveLength(61);
  await equal();

  const reader = await connectLdap({ target: edge, clock: systemClock });
  const wanted = await shown(reader, { base: 'cn=Configuration' });
  await until(
    'our own follower holds the configuration',
    () => follower.consumer.state,
    (state) => Object.keys(state).sort().join() === Object.keys(wanted).sort().join(),
  );
  const held = JSON.stringify(follower.consumer.state);
  expect(held).toContain('posternDomainKind');
  expect(held).not.toMatch(/posternCredential|posternSealedKey/i);
  reader.destroy();

  // The edge goes and comes again: cookies still fit, nothing but the changes is sent.
  await site.edgeDaemon?.stop();
  await follower.ended;
  await site.startEdge();
  await writeFile(join(site.folder, 'people.ldif'), people(20, 75));
  await site.hubOk('sync', 'run', '--full');
  await equal();
  const again = await connectLdap({ target: edge, clock: systemClock });
  const second = new Follower(again, follower.consumer, { base: 'cn=Configuration' });
  await until(
    'the refresh is over',
    () => second.consumer.refreshDone,
    (done) => done === 1,
  );
  expect(second.consumer.presents).toBe(0);
  await second.stop();
});
