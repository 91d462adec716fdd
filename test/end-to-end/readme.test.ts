/**
 * The set-up of the README, followed literally on two machines of their own (namespaces), from the packages to Postfix's answer.
 *
 * What is not literal, and nothing else:
 * - `git clone https://github.com/postern/postern` copies this checkout;
 * - `systemctl enable --now UNIT` is a script that does what the unit says (user, folders, umask, ExecStart, ExecStartPost);
 * - FINGERPRINT is the fingerprint that `subscription create` printed;
 * - files are carried from one machine to the other where the text says so.
 *
 * What the text takes for granted is made before: names that resolve, an OpenLDAP at ldaps://ldap.example.org with an authority that
 * the hub knows, the content synchronisation overlay and the limits that are named, a Postfix that runs on the edge.
 */
import { type ChildProcess } from 'node:child_process';
import { cp, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeCertificate } from '../support/certificate.ts';
import { joinMachines, Machine } from '../support/machine.ts';
import { Slapd } from '../support/slapd.ts';
import { until } from '../support/until.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const READER = 'cn=postern,dc=example,dc=org';
const PASSWORD = 'the password of the source';
const HOSTS =
  '127.0.0.1 localhost\n192.0.2.1 edge1.example.org\n192.0.2.2 hub1.example.org ldap.example.org\n';
const SYSTEMCTL = `#!/bin/sh
# Does what "systemctl enable --now UNIT" would, without systemd.
set -eu
[ "$1 $2" = 'enable --now' ]
cd /
unit=/etc/systemd/system/$3.service
value() { sed -n "s/^$1=//p" "$unit"; }
for folder in $(value StateDirectory); do
  install -d -o "$(value User)" -g "$(value Group)" -m "$(value StateDirectoryMode)" "/var/lib/$folder"
done
umask "$(value UMask)"
setsid runuser -u "$(value User)" -g "$(value Group)" -- $(value ExecStart) </dev/null >"/var/log/$3.log" 2>&1 &
post=$(value ExecStartPost)
[ -z "$post" ] || eval "runuser -u $(value User) -- $post"
`;
const MAIN_CF = `compatibility_level = 3.6
myhostname = edge1.example.org
mydestination =
mynetworks =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
smtpd_peername_lookup = no
maillog_file = /var/log/mail.log
default_transport = discard
relay_transport = discard
`;

const parts = new AsyncDisposableStack();
let edge: Machine;
let hub: Machine;
let slapdProcess: ChildProcess | undefined;
let blocks: readonly Block[];
let fingerprint = '';

/** A fenced block, the file that the paragraph before it names, and the section it stands in. */
interface Block {
  readonly section: string;
  readonly file: string | undefined;
  readonly language: string;
  readonly text: string;
}

function readSetup(markdown: string): Block[] {
  const [, setup = ''] = /<!-- setup:begin[^]*?-->([^]*)<!-- setup:end -->/.exec(markdown) ?? [];
  const found: Block[] = [];
  let section = '';
  let before = '';
  for (const part of setup.split(/^(```[^]*?^```$|### .*$)/m)) {
    if (part.startsWith('### ')) section = part.slice(4);
    else if (part.startsWith('```')) {
      const [, language = '', text = ''] = /^```(\w*)\n([^]*)```$/.exec(part) ?? [];
      // "`/etc/postern/edge.toml`:" right before the block.
      const file = /`(\/[^`]+)`:\s*$/.exec(before)?.[1];
      found.push({ section, file, language, text });
    }
    before = part;
  }
  return found;
}

beforeAll(async () => {
  blocks = readSetup(await readFile(join(ROOT, 'README.md'), 'utf8'));
  const staged = await mkdtemp(join(tmpdir(), 'postern-readme-'));
  parts.defer(() => rm(staged, { recursive: true, force: true }));
  await cp(ROOT, join(staged, 'checkout'), {
    recursive: true,
    filter: (path) => !/^(node_modules|\.git|\.tmp|dist|coverage)$/.test(path.slice(ROOT.length)),
  });
  edge = parts.use(await Machine.start('edge1'));
  hub = parts.use(await Machine.start('hub1'));
  await joinMachines(edge, '192.0.2.1', hub, '192.0.2.2');
  for (const machine of [edge, hub]) {
    await machine.write('/etc/hosts', HOSTS);
    await machine.ok('mkdir -p /etc/systemd/system');
    await machine.write('/usr/local/bin/systemctl', SYSTEMCTL);
    await machine.ok('chmod 755 /usr/local/bin/systemctl');
    // In place of the clone: the same folder, by the same command's name.
    await machine.write(
      '/usr/local/bin/git',
      `#!/bin/sh\nset -eu\n[ "$1 $2" = 'clone https://github.com/postern/postern' ]\ncp -a ${staged}/checkout "$3"\n`,
    );
    await machine.ok('chmod 755 /usr/local/bin/git');
  }
  await startSource();
  await edge.write('/etc/postfix/main.cf', MAIN_CF);
  await edge.ok(
    'cp /usr/share/postfix/master.cf.dist /etc/postfix/master.cf\nrm -f /var/lib/postfix/*\npostfix start',
  );
});
afterAll(async () => {
  slapdProcess?.kill('SIGKILL');
  await parts.disposeAsync();
});

/** An OpenLDAP in the hub's network, and its authority among those that the hub knows. */
async function startSource(): Promise<void> {
  const authority = await makeCertificate({ name: 'Example Authority', authority: true });
  const certificate = await makeCertificate({ name: 'ldap.example.org', issuer: authority });
  const person = (uid: string, ...mail: string[]): string =>
    `dn: uid=${uid},ou=people,dc=example,dc=org\nobjectClass: inetOrgPerson\nuid: ${uid}\ncn: ${uid}\nsn: x\n${mail.map((address) => `mail: ${address}\n`).join('')}`;
  const slapd = parts.use(
    await Slapd.create({
      tls: { certificate },
      syncprov: true,
      access: ['to attrs=userPassword by anonymous auth', `to * by dn.exact="${READER}" read by * none`],
      limits: [`dn.exact="${READER}" size=unlimited time=unlimited`],
      ldif: [
        'dn: ou=people,dc=example,dc=org\nobjectClass: organizationalUnit\nou: people\n',
        `dn: ${READER}\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\ncn: postern\nuserPassword: ${PASSWORD}\n`,
        person('ada', 'ada@example.org', 'ada.lovelace@example.org'),
        person('grace', 'grace@example.org'),
      ].join('\n'),
    }),
  );
  const urls = `ldaps://192.0.2.2:636 ldapi://${encodeURIComponent(slapd.ldapiPath)}`;
  slapdProcess = hub.spawnInNetwork('slapd', ['-f', join(slapd.folder, 'slapd.conf'), '-h', urls, '-d', '0']);
  await until(
    'slapd',
    () => readdir(slapd.folder),
    (names) => names.includes('ldapi'),
  );
  await hub.ok('cat >> /etc/ssl/certs/ca-certificates.crt', { input: authority.certificate });
}

function blockAt(index: number, section: RegExp, language: string, file?: string): Block {
  const block = blocks[index];
  if (block === undefined) throw new Error(`the README has no block ${index}`);
  expect(block.section).toMatch(section);
  expect([block.language, block.file]).toEqual([language, file]);
  return block;
}

/** RCPT TO as a client of the internet would say it, to port 25 of the edge. */
async function rcptTo(address: string): Promise<string> {
  const lines = ['EHLO client.example', 'MAIL FROM:<>', `RCPT TO:<${address}>`, 'QUIT', ''];
  const said = await edge.ok(`exec bash -c 'exec 3<>/dev/tcp/127.0.0.1/25; cat >&3; cat <&3'`, {
    input: lines.join('\r\n'),
  });
  const replies = said.split('\r\n').filter((line) => /^\d{3} /.test(line));
  // Greeting, EHLO, MAIL, RCPT.
  return replies[3] ?? said;
}

describe("the README's set-up", () => {
  it('has the blocks that are followed here', () => {
    expect(
      blocks.map(({ section, file, language }) => `${section.slice(0, 2)} ${language} ${file ?? ''}`.trim()),
    ).toEqual([
      '1. sh',
      '2. toml /etc/postern/edge.toml',
      '2. sh',
      '3. toml /etc/postern/hub.toml',
      '3. sh',
      '4. sh',
      '4. sh',
      '5.  /etc/postfix/main.cf',
      '5. sh',
    ]);
  });

  it('1. on both: install', async () => {
    const { text } = blockAt(0, /On both/, 'sh');
    for (const machine of [edge, hub]) await machine.ok(text, { outside: true });
    for (const machine of [edge, hub])
      expect(await machine.ok('postern --version')).toMatch(/^\d+\.\d+\.\d+/);
  });

  it('2. on the edge: configure and run', async () => {
    await edge.write(
      '/etc/postern/edge.toml',
      blockAt(1, /On the edge/, 'toml', '/etc/postern/edge.toml').text,
    );
    expect(await edge.ok(blockAt(2, /On the edge/, 'sh').text)).toMatch(/a valid edge configuration/);
    expect((await edge.run('postern status')).stdout).toMatch(/subscribed +no/);
  });

  it('3. on the hub: configure and run', async () => {
    await hub.write('/etc/postern/hub.toml', blockAt(3, /On the hub/, 'toml', '/etc/postern/hub.toml').text);
    // "one line; chown postern, chmod 600"
    await hub.write('/etc/postern/source.password', `${PASSWORD}\n`);
    await hub.ok('chown postern /etc/postern/source.password\nchmod 600 /etc/postern/source.password');
    const said = await hub.run(blockAt(4, /On the hub/, 'sh').text);
    expect(said).toMatchObject({ exitCode: 0, stderr: '' });
    expect(said.stdout).toMatch(/example\.org is authoritative/);
  });

  it('4. subscribe', async () => {
    const lines = blockAt(5, /Subscribe/, 'sh')
      .text.trim()
      .split('\n');
    expect(lines).toHaveLength(2);
    for (const line of lines) {
      const machine = line.includes('# on the hub') ? hub : edge;
      expect(line).toMatch(/# on the (hub|edge)/);
      if (machine === edge) await edge.write('/root/hub1.pub', await hub.ok('cat /root/hub1.pub'));
      const said = await machine.run(line);
      expect(said.exitCode).toBe(0);
      fingerprint = /--expect-fingerprint '([^']+)'/.exec(said.stderr)?.[1] ?? fingerprint;
    }
    expect(fingerprint.replaceAll(' ', '')).toMatch(/^[0-9a-f]{64}$/i);
    await hub.write('/root/edge1.xml', await edge.ok('cat /root/edge1.xml'));
    const { text } = blockAt(6, /Subscribe/, 'sh');
    expect(text).toContain("'FINGERPRINT'");
    const said = await hub.ok(text.replace('FINGERPRINT', fingerprint));
    expect(said).toMatch(/edge1 .*is subscribed/);
    expect(said).toMatch(/edge1 +Synchronized/);
    expect(said).toMatch(/health: ok/);
    expect((await hub.run('ls /root/edge1.xml')).exitCode).not.toBe(0);
    // The daemon's user may not delete what root wrote: the edge names it until somebody does.
    expect((await edge.run('postern status')).stdout).toContain('[subscription.file-left]');
    const [rm] = /`(rm edge1\.xml)`/.exec(await readFile(join(ROOT, 'README.md'), 'utf8'))?.slice(1) ?? [];
    await edge.ok(`cd /root; ${rm ?? 'false'}`);
  });

  it('5. ask', async () => {
    const { text } = blockAt(7, /Ask/, '', '/etc/postfix/main.cf');
    await edge.ok('cat >> /etc/postfix/main.cf', { input: text });
    const said = await edge.ok(blockAt(8, /Ask/, 'sh').text);
    expect(said).toMatch(/answer +known/);
    expect(said).toMatch(/^1$/m);
    await until(
      'Postfix to answer by the new tables',
      () => rcptTo('ada@example.org'),
      (reply) => reply.startsWith('250 '),
    );
  });

  it('and then: Postfix knows who is there', async () => {
    expect(await rcptTo('Ada.Lovelace+news@example.org')).toMatch(/^250 2\.1\.5 /);
    expect(await rcptTo('grace@example.org')).toMatch(/^250 2\.1\.5 /);
    expect(await rcptTo('nobody@example.org')).toMatch(/^550 5\.1\.1 .*User unknown/);
    expect(await rcptTo('ada@elsewhere.example')).toMatch(/^[45]54 [45]\.7\.1 .*Relay access denied/);
  });

  it('from inside, the edge shows one door; and it opens none inward', async () => {
    const open = (port: number): string => `bash -c 'exec 3<>/dev/tcp/192.0.2.1/${port}'`;
    expect((await hub.run(open(50636))).exitCode).toBe(0);
    for (const port of [50389, 50390]) expect((await hub.run(open(port))).exitCode).not.toBe(0);
    const sockets = await edge.ok('ss -Htn state established');
    for (const line of sockets.split('\n').filter((one) => one.includes('192.0.2.2')))
      expect(line).toMatch(/192\.0\.2\.1\]?:50636 /);
  });

  it('the daemons run as their own user, and say that all is well', async () => {
    for (const machine of [edge, hub]) {
      expect(await machine.ok("ps -eo user=,args= | grep '[c]li/main' | cut -d' ' -f1 | sort -u")).toBe(
        'postern\n',
      );
      expect(await machine.ok('postern status')).toMatch(/health: ok/);
      expect(await machine.ok('stat -c %U:%a /var/lib/postern')).toBe('postern:700\n');
    }
  });
});
