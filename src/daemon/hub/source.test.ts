import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FakeClock } from '../../../test/fakes/clock.ts';
import { isPosternError } from '../../base/error.ts';
import { hubConfigSchema, type SourceConfig } from '../../config/hub-config.ts';
import { mappingRules, openSource } from './source.ts';

let folder: string;
let password: string;
let empty: string;
let open: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'postern-source-'));
  [password, empty, open] = ['password', 'empty', 'open'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  await writeFile(password, 'secret\n', { mode: 0o600 });
  await writeFile(empty, '\n', { mode: 0o600 });
  await writeFile(open, 'secret\n');
  await chmod(open, 0o640);
});
afterAll(() => rm(folder, { recursive: true }));

function source(table: Record<string, unknown>): SourceConfig {
  const config = hubConfigSchema.parse({ name: 'h', fqdn: 'h.example.org', source: table });
  if (config.source === undefined) throw new Error('no source');
  return config.source;
}

const LDAP = { kind: 'openldap', url: 'ldaps://ldap.example.org', base: 'dc=example,dc=org' };

async function problem(table: Record<string, unknown>): Promise<string> {
  try {
    await openSource(source(table), new FakeClock());
    return 'none';
  } catch (error) {
    return isPosternError(error) ? `${error.code}: ${error.message} | ${error.hint ?? ''}` : String(error);
  }
}

describe('open source', () => {
  it('an LDIF file', async () => {
    const { feed, map } = await openSource(source({ kind: 'ldif', path: '/x.ldif' }), new FakeClock());
    expect(feed.identity).toMatchObject({ kind: 'ldif', instance: '/x.ldif' });
    const entry = {
      guid: Buffer.alloc(16),
      dn: 'uid=a',
      attributes: new Map([['mail', [Buffer.from('A@Example.org')]]]),
    };
    expect(map(entry)).toEqual({ recipient: { kind: 'user', addresses: ['a@example.org'] }, dropped: 0 });
  });

  it('an LDAP server with password and pin', async () => {
    const pin = Buffer.alloc(32, 1).toString('base64');
    const { feed } = await openSource(
      source({ ...LDAP, bind_dn: 'cn=reader', password_file: password, pin, filter: '(mail=*)' }),
      new FakeClock(),
    );
    expect(feed.live).toBe(true);
    expect(feed.identity).toMatchObject({
      instance: LDAP.url,
      base: LDAP.base,
      filter: '(mail=*)',
      bindIdentity: 'cn=reader',
    });
    expect(feed.identity.attributes).toContain('mail');
  });

  it.each<[string, () => Record<string, unknown>, RegExp]>([
    [
      'a password that others may read',
      () => ({ bind_dn: 'cn=r', password_file: open }),
      /^file\.permissions: .* \| chmod 600/,
    ],
    [
      'no such password file',
      () => ({ bind_dn: 'cn=r', password_file: '/nowhere' }),
      /^file\.unreadable: .*password_file/,
    ],
    [
      'an empty password file',
      () => ({ bind_dn: 'cn=r', password_file: empty }),
      /^config\.invalid: .*is empty/,
    ],
    ['no such CA file', () => ({ ca_file: '/nowhere' }), /^file\.unreadable: .*ca_file/],
    ['a CA file without certificate', () => ({ ca_file: password }), /^config\.invalid: .*no certificate/],
    ['a pin that is none', () => ({ pin: 'abc' }), /^config\.invalid: source: not a fingerprint/],
    [
      'a pin and a CA file',
      () => ({ pin: Buffer.alloc(32).toString('base64'), ca_file: password }),
      /^config\.invalid: .*two ways/,
    ],
    ['an address that is none', () => ({ url: 'http://x' }), /^config\.invalid: source: not the address/],
    ['a filter that is none', () => ({ filter: '(mail' }), /^config\.invalid: source\.filter "\(mail": /],
    [
      'a password in clear text',
      () => ({ url: 'ldap://ldap.example.org', bind_dn: 'cn=r', password_file: password }),
      /^config\.invalid: source: the password .* clear text | .*start_tls/,
    ],
  ])('refuses %s', async (_what, table, expected) => {
    expect(await problem({ ...LDAP, ...table() })).toMatch(expected);
  });
});

describe('mapping rules', () => {
  it('an override replaces the parts it names, and makes another mapping for the cookie', async () => {
    const table = { kind: 'ldif', path: '/x', mapping: 'zimbra' };
    const preset = mappingRules(source(table));
    const overridden = {
      ...table,
      override: { addresses: ['x'], leave_out: [{ attribute: 'a', value: 'b' }] },
    };
    expect(mappingRules(source(overridden))).toEqual({
      ...preset,
      addresses: ['x'],
      leaveOut: [{ attribute: 'a', value: 'b' }],
    });
    const mappings = await Promise.all(
      [table, overridden].map(
        async (one) => (await openSource(source(one), new FakeClock())).feed.identity.mapping,
      ),
    );
    expect(new Set(mappings).size).toBe(2);
  });
});
