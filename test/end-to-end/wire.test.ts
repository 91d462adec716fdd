/**
 * What somebody sees who listens on the wire during subscription, first load and a change: tcpdump on loopback, both legs at once.
 * Between hub and edge nothing that is looked for; between slapd and hub, which is plain LDAP here, all of it.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { credentialsOf, openHubCopy } from '../support/data-copy.ts';
import { Deployment, slapdSource } from '../support/deployment.ts';
import { type Slapd, startSlapd } from '../support/slapd.ts';
import { SocketmapClient } from '../support/socketmap-client.ts';
import { finds, TcpCapture, type TcpStream } from '../support/tcp-capture.ts';
import { until } from '../support/until.ts';

const ADDRESS = 'marker-of-an-address@unique-domain.example';
const NAME = 'Marker Of A Name';
const LATER = 'marker-of-a-change@unique-domain.example';
const parts = new AsyncDisposableStack();

let slapd: Slapd;
let site: Deployment;
let inside: TcpStream[];
let perimeter: TcpStream[];
const passwords = new Map<string, string>();

beforeAll(async () => {
  const people = Array.from(
    { length: 500 },
    (_, n) =>
      `dn: uid=u${n},ou=people,dc=example,dc=org\nobjectClass: inetOrgPerson\nuid: u${n}\ncn: ${NAME} ${n}\nsn: x\nmail: u${n}@unique-domain.example\n`,
  );
  const ldif = [
    'dn: ou=people,dc=example,dc=org\nobjectClass: organizationalUnit\nou: people\n',
    ...people,
    `dn: uid=m,ou=people,dc=example,dc=org\nobjectClass: inetOrgPerson\nuid: m\ncn: ${NAME}\nsn: x\nmail: ${ADDRESS}\n`,
  ].join('\n');
  slapd = parts.use(await startSlapd({ ldif, syncprov: true }));
  site = parts.use(
    await Deployment.create(async (folder) => ({
      // The name is asked for, too: as the people's names of other schemas would be.
      source: {
        ...(await slapdSource(slapd, folder)),
        override: { leave_out: [{ attribute: 'cn', value: 'nobody' }] },
      },
    })),
  );
  await using capture = await TcpCapture.start([slapd.port, site.ldapsPort]);
  await site.startEdge();
  await site.startHub();
  await site.hubOk('domain', 'add', 'unique-domain.example');
  const file = join(site.folder, 'edge1.xml');
  await site.edgeOk('subscription', 'create', file);
  const text = await readFile(file, 'utf8');
  // Its first part has no character that XML would have escaped.
  passwords.set('bootstrap', /<ESRAPassword>[^<]*?([^<&;]{12,})/.exec(text)?.[1] ?? '');
  await site.hubOk('subscription', 'import', file);
  await site.hubOk('sync', 'run');
  await using client = await SocketmapClient.connect({ host: '127.0.0.1', port: site.socketmapPort });
  expect(await client.ask('recipients', ADDRESS)).toBe('OK 1');
  await slapd.modify(
    `dn: uid=m,ou=people,dc=example,dc=org\nchangetype: modify\nadd: mail\nmail: ${LATER}\n`,
  );
  await until(
    'the change',
    () => client.ask('recipients', LATER),
    (answer) => answer === 'OK 1',
  );
  const streams = await capture.stop();
  inside = streams.filter(({ fromPort, toPort }) => fromPort === slapd.port || toPort === slapd.port);
  perimeter = streams.filter((stream) => !inside.includes(stream));
  await site.hubDaemon?.stop();
  await using copy = await openHubCopy(site.hubData, 'hub1', 'hub1.localhost');
  for (const [account, password] of await credentialsOf(copy, 'edge1'))
    passwords.set(account, password.revealText());
});
afterAll(() => parts.disposeAsync());

describe('what was captured', () => {
  it('has both legs, whole', () => {
    const size = (streams: readonly TcpStream[]): number =>
      streams.reduce((sum, { bytes }) => sum + bytes.length, 0);
    // Hundreds of recipients crossed each of them.
    expect(size(inside)).toBeGreaterThan(50_000);
    expect(size(perimeter)).toBeGreaterThan(50_000);
  });

  it('is TLS 1.3 from the first byte between hub and edge', () => {
    const toEdge = perimeter.filter(({ toPort }) => toPort === site.ldapsPort);
    expect(toEdge.length).toBeGreaterThanOrEqual(3);
    for (const { bytes } of perimeter) {
      // A handshake record (RFC 8446 §5.1).
      expect(bytes[0]).toBe(22);
      expect(bytes[1]).toBe(3);
    }
  });

  it.each([
    ['address', ADDRESS],
    ['address of a change', LATER],
    ['name', NAME],
    ['accepted domain', 'unique-domain.example'],
  ])('%s: in clear over plain LDAP, nowhere between hub and edge', (_what, marker) => {
    expect(finds(inside, marker)).toBe(true);
    expect(finds(perimeter, marker)).toBe(false);
  });

  it('the password of the source account: found over plain LDAP', () => {
    expect(finds(inside, slapd.adminPassword)).toBe(true);
    expect(finds(perimeter, slapd.adminPassword)).toBe(false);
  });

  it.each(['bootstrap', 'ESRA.edge1.hub1.0'])('password of the account %s: nowhere', (name) => {
    const password = passwords.get(name) ?? '';
    expect(password.length).toBeGreaterThanOrEqual(12);
    expect(finds(perimeter, password)).toBe(false);
    expect(finds(inside, password)).toBe(false);
  });

  it.each(['ESRA.edge1', 'cn=Accounts', 'cn=Recipients', 'posternAddress'])(
    '%s: nowhere between hub and edge',
    (marker) => {
      expect(finds(perimeter, marker)).toBe(false);
    },
  );
});
