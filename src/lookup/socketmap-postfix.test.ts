import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FakeRecipientIndex } from '../../test/fakes/recipient-index.ts';
import { Postfix, startPostfix } from '../../test/support/postfix.ts';
import { systemClock } from '../base/clock.ts';
import { silentLog } from '../base/log.ts';
import { SocketmapServer } from './socketmap-server.ts';
import { type SocketmapTable, socketmapTables } from './socketmap-table.ts';

const DOMAINS = 'socketmap:unix:postern/socketmap:domains';
const RECIPIENTS = 'socketmap:unix:postern/socketmap:recipients';

function filled(): FakeRecipientIndex {
  return new FakeRecipientIndex(systemClock.now())
    .addDomain('example.org', { recipientDelimiter: '+' })
    .addDomain('all.example', { catchAll: true })
    .addDomain('relay.example', { kind: 'internalRelay' })
    .addDomain('münchen.example')
    .add('anna@example.org')
    .add('"anna b"@example.org')
    .add('"x@y"@example.org')
    .add('"quo\\"te"@example.org')
    .add('a..b@example.org')
    .add('jürgen@example.org')
    .add('anna@münchen.example');
}

/** Every key that Postfix asked, as `map key`. */
function serve(postfix: Postfix, index: FakeRecipientIndex, keys: string[]): SocketmapServer {
  const tables = new Map<string, SocketmapTable>();
  for (const [name, table] of socketmapTables({ index, hasher: index.hasher, now: systemClock.now })) {
    tables.set(name, (key) => {
      keys.push(`${name} ${key.toString()}`);
      return table(key);
    });
  }
  return new SocketmapServer({
    listen: [
      { kind: 'unix', path: postfix.socketPath, mode: 0o666 },
      { kind: 'tcp', host: '127.0.0.1', port: 0 },
    ],
    tables,
    clock: systemClock,
    log: silentLog,
  });
}

describe.each([
  ['chrooted', true],
  ['not chrooted', false],
])('Postfix, %s', (_name, chroot) => {
  let postfix: Postfix;
  let server: SocketmapServer;
  const index = filled();
  const keys: string[] = [];

  beforeAll(async () => {
    // Partial keys, where Postfix would ask them of an indexed table: with a delimiter of its own too.
    postfix = await Postfix.create({
      relayDomains: DOMAINS,
      relayRecipientMaps: RECIPIENTS,
      chroot,
      main: ['recipient_delimiter = +'],
    });
    server = serve(postfix, index, keys);
    await server.start();
    await postfix.start();
  });
  afterAll(async () => {
    await postfix?.[Symbol.asyncDispose]();
    await server?.stop();
  });

  it.each([
    ['anna@example.org', /^250 /],
    ['ANNA@Example.ORG', /^250 /],
    ['anna+news@example.org', /^250 /],
    ['"anna b"@example.org', /^250 /],
    ['"anna b+x"@example.org', /^250 /],
    ['"anna"@example.org', /^250 /],
    // Postfix takes this for a source route and doesn't ask.
    ['"x@y"@example.org', /^554 5\.7\.1 .*Relay access denied/],
    ['"quo\\"te"@example.org', /^250 /],
    ['"a..b"@example.org', /^250 /],
    ['a..b@example.org', /^250 /],
    ['jürgen@example.org', /^250 /],
    ['JÜRGEN+x@example.org', /^250 /],
    ['anna@münchen.example', /^250 /],
    ['anna@xn--mnchen-3ya.example', /^250 /],
    ['postmaster@example.org', /^250 /],
    ['nobody@all.example', /^250 /],
    ['nobody@relay.example', /^250 /],
    ['nobody@example.org', /^550 5\.1\.1 .*User unknown/],
    ['nobody+x@example.org', /^550 5\.1\.1 .*User unknown/],
    ['"nobody here"@example.org', /^550 5\.1\.1 .*User unknown/],
    ['anna@sub.example.org', /^554 5\.7\.1 .*Relay access denied/],
    ['anna@org', /^554 5\.7\.1 .*Relay access denied/],
    ['anna@elsewhere.example', /^554 5\.7\.1 .*Relay access denied/],
  ])('RCPT TO:<%s>', async (recipient, reply) => {
    expect(await postfix.smtpDialogue(recipient)).toMatch(reply);
  });

  it('an empty local part is nobody, also where every local part is accepted', async () => {
    expect(await postfix.smtpDialogue('""@all.example')).toMatch(/^5/);
    expect(await postfix.smtpDialogue('@all.example')).toMatch(/^5/);
  });

  it('asks for whole addresses and whole domains, never for parts of them', () => {
    expect(keys).toContain('recipients nobody+x@example.org');
    expect(keys).toContain('domains sub.example.org');
    expect(keys).not.toContain('domains .example.org');
    expect(keys).not.toContain('recipients nobody');
    expect(keys).not.toContain('recipients @example.org');
    expect(keys.filter((key) => key === 'recipients nobody@example.org')).toHaveLength(1);
    // Quoted first, then without quotes: so the address with an empty local part gets the look of a partial key.
    const quoted = keys.filter((key) => key.includes('nobody here'));
    expect(quoted).toEqual(['recipients "nobody here"@example.org', 'recipients nobody here@example.org']);
    expect(new Set(keys.filter((key) => key.startsWith('recipients @')))).toEqual(
      new Set(['recipients @all.example']),
    );
  });

  it('missing and old data make mail wait', async () => {
    index.recipientsLoaded = { loadState: 'loading', generation: 0, lastConfirmedMs: undefined };
    expect(await postfix.smtpDialogue('nobody@example.org')).toMatch(/^451 4\.3\.0 .*lookup failure/);
    expect(await postfix.smtpDialogue('anna@example.org')).toMatch(/^250 /);
    index.recipientsLoaded = { loadState: 'complete', generation: 1, lastConfirmedMs: 0 };
    expect(await postfix.smtpDialogue('nobody@example.org')).toMatch(/^451 4\.3\.0 /);
    index.domainsLoaded = { loadState: 'none', generation: 0, lastConfirmedMs: undefined };
    // smtpd remembers for its lifetime (100 sessions) what relay_domains said of an address; so one it hasn't met.
    expect(await postfix.smtpDialogue('anna@not-met.example')).toMatch(/^451 4\.3\.0 /);
    const good = filled();
    index.domainsLoaded = good.domainsLoaded;
    index.recipientsLoaded = good.recipientsLoaded;
    expect(await postfix.smtpDialogue('nobody@example.org')).toMatch(/^550 /);
  });

  it('a server that is away makes mail wait, and is found again', async () => {
    await using session = await postfix.smtp();
    await session.command('EHLO client.example');
    await session.command('MAIL FROM:<>');
    expect(await session.command('RCPT TO:<anna@example.org>')).toMatch(/^250 /);
    await server.stop();
    expect(await session.command('RCPT TO:<anna+away@example.org>')).toMatch(/^451 4\.3\.0 /);
    server = serve(postfix, index, keys);
    await server.start();
    expect(await session.command('RCPT TO:<nobody+back@example.org>')).toMatch(/^550 /);
    expect(await session.command('RCPT TO:<anna+back@example.org>')).toMatch(/^250 /);
  });
});

describe('postmap -q', () => {
  let postfix: Postfix;
  let server: SocketmapServer;
  const index = filled();
  const keys: string[] = [];
  let maps: (name: string) => string[];

  beforeAll(async () => {
    postfix = await Postfix.create({ relayDomains: DOMAINS, relayRecipientMaps: RECIPIENTS });
    server = serve(postfix, index, keys);
    await server.start();
    const tcp = server.addresses[1];
    const port = tcp?.kind === 'tcp' ? tcp.port : 0;
    maps = (name) => [`socketmap:unix:postern/socketmap:${name}`, `socketmap:inet:127.0.0.1:${port}:${name}`];
  });
  afterAll(async () => {
    await postfix?.[Symbol.asyncDispose]();
    await server?.stop();
  });

  it.each([
    ['recipients', 'anna@example.org', '1'],
    ['recipients', 'Anna+x@example.org', '1'],
    ['recipients', '"anna b"@example.org', '1'],
    ['recipients', 'jürgen@example.org', '1'],
    ['recipients', 'nobody@all.example', '1'],
    ['recipients', 'nobody@example.org', undefined],
    ['recipients', '@all.example', undefined],
    ['recipients', 'anna', undefined],
    ['domains', 'example.org', 'authoritative'],
    ['domains', 'relay.example', 'internalRelay'],
    ['domains', 'sub.example.org', undefined],
  ])('%s %s: %s', async (name, key, value) => {
    for (const map of maps(name)) expect(await postfix.postmap(key, map)).toEqual({ value, error: '' });
  });

  it('temporary trouble and a map that does not exist are errors, not "not found"', async () => {
    index.recipientsLoaded = { loadState: 'none', generation: 0, lastConfirmedMs: undefined };
    const { value, error } = await postfix.postmap('nobody@example.org', maps('recipients')[0] ?? '');
    expect(value).toBeUndefined();
    expect(error).toMatch(/temporary error: recipients are not loaded yet/);
    expect((await postfix.postmap('x', maps('typo')[1] ?? '')).error).toMatch(/temporary error: no such map/);
  });
});

it('a private Postfix starts, stops, starts again on the same port, and leaves nothing', async () => {
  const postfix = await startPostfix({
    relayDomains: 'example.org',
    relayRecipientMaps: 'inline:{anna@example.org=x}',
  });
  const { port } = postfix;
  try {
    expect(await postfix.smtpDialogue('anna@example.org')).toMatch(/^250 /);
    await postfix.stop();
    expect(postfix.running).toBe(false);
    await expect(postfix.smtpDialogue('anna@example.org')).rejects.toThrow('closed the connection');
    await postfix.start();
    expect(postfix.port).toBe(port);
    expect(await postfix.smtpDialogue('nobody@example.org')).toMatch(/^550 5\.1\.1/);
    await postfix.logged(/NOQUEUE: reject: RCPT .* 550 5\.1\.1/);
  } finally {
    await postfix[Symbol.asyncDispose]();
  }
  await expect(postfix.smtp()).rejects.toThrow('closed the connection');
});
