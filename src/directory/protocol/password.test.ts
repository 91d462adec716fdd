/** Password modify (RFC 3062) through the protocol: what is refused before the owner is asked, and what the owner is told. */
import { describe, expect, it } from 'vitest';
import { FakeClock } from '../../../test/fakes/clock.ts';
import { makeCertificate } from '../../../test/support/certificate.ts';
import { critical, found, outcome } from '../../../test/support/directory-answers.ts';
import { accept, BASE } from '../../../test/support/directory-requests.ts';
import {
  ADMINISTRATOR,
  type ServedDirectory,
  serveDirectory,
} from '../../../test/support/served-directory.ts';
import { runTool } from '../../../test/support/slapd.ts';
import { systemClock } from '../../base/clock.ts';
import { createLog } from '../../base/log.ts';
import { Secret } from '../../base/secret.ts';
import { connectLdap, type LdapClient } from '../../ldap/client.ts';
import { CONTROL, EXTENDED } from '../../ldap/control.ts';
import {
  decodePasswordModifyResponse,
  encodePasswordModifyRequest,
  type PasswordModifyRequest,
} from '../../ldap/extended-values.ts';
import { type DirectoryHooks, type PasswordChange, resultOf, SUCCESS } from '../directory.ts';

/** Hooks of an owner with two accounts, of which the administrator's may change passwords. */
function owner(): { hooks: DirectoryHooks; passwords: Map<string, string>; asked: PasswordChange[] } {
  const passwords = new Map([
    [ADMINISTRATOR.dn, ADMINISTRATOR.password],
    [`cn=reader,${BASE}`, 'reader'],
  ]);
  const asked: PasswordChange[] = [];
  const hooks: DirectoryHooks = {
    authenticate({ name, authentication }) {
      const given = authentication.kind === 'simple' ? authentication.password.toString() : undefined;
      if (passwords.get(name) !== given) return { result: resultOf('invalidCredentials') };
      const role = name === ADMINISTRATOR.dn ? 'administrator' : 'reader';
      return { identity: { role, authorizationId: `dn:${name}`, dn: name } };
    },
    changePassword(change) {
      asked.push(change);
      const { userIdentity, identity, old, wanted } = change;
      if (identity.role !== 'administrator') return { result: resultOf('insufficientAccessRights') };
      const name = userIdentity ?? identity.dn;
      const known = passwords.get(name);
      if (known === undefined) return { result: resultOf('noSuchObject') };
      if (old !== undefined && old.revealText() !== known) return { result: resultOf('invalidCredentials') };
      passwords.set(name, (wanted ?? new Secret('generated')).revealText());
      return wanted === undefined
        ? { result: SUCCESS, generated: new Secret('generated') }
        : { result: SUCCESS };
    },
  };
  return { hooks, passwords, asked };
}

const text = (value: string | undefined): Buffer | undefined =>
  value === undefined ? undefined : Buffer.from(value);

async function change(
  client: LdapClient,
  { who, old, wanted }: { who?: string; old?: string; wanted?: string } = {},
): Promise<string> {
  const request: PasswordModifyRequest = {
    ...(who !== undefined && { userIdentity: who }),
    ...(old !== undefined && { oldPassword: text(old) as Buffer }),
    ...(wanted !== undefined && { newPassword: text(wanted) as Buffer }),
  };
  const value = Object.keys(request).length === 0 ? undefined : encodePasswordModifyRequest(request);
  const sent = client.extended(EXTENDED.passwordModify, value, { accept });
  const { operation } = await sent.result;
  const generated = decodePasswordModifyResponse(operation.value);
  return generated === undefined ? await outcome(sent) : `generated ${generated.toString()}`;
}

const canBind = async (served: ServedDirectory, name: string, password: string): Promise<boolean> => {
  const client = await served.client('anonymous');
  const { operation } = await client.bind(name, new Secret(password), { accept });
  return operation.result.code === 0;
};

describe('password modify', () => {
  it('changes the own password, and another one, given or made', async () => {
    const { hooks, asked } = owner();
    await using served = await serveDirectory({ hooks });
    const client = await served.client();
    expect(await change(client, { old: ADMINISTRATOR.password, wanted: 'new' })).toBe('success');
    expect(await canBind(served, ADMINISTRATOR.dn, ADMINISTRATOR.password)).toBe(false);
    expect(await canBind(served, ADMINISTRATOR.dn, 'new')).toBe(true);
    expect(await change(client)).toBe('generated generated');
    expect(await canBind(served, ADMINISTRATOR.dn, 'generated')).toBe(true);
    expect(await change(client, { who: `cn=reader,${BASE}`, wanted: 'set' })).toBe('success');
    expect(await canBind(served, `cn=reader,${BASE}`, 'set')).toBe(true);
    expect(asked.map(({ identity, userIdentity }) => [identity.role, userIdentity])).toEqual([
      ['administrator', undefined],
      ['administrator', undefined],
      ['administrator', `cn=reader,${BASE}`],
    ]);
  });

  it('as ldappasswd asks', async () => {
    const { hooks, passwords } = owner();
    await using served = await serveDirectory({ hooks });
    const login = (password: string) => ['-x', '-D', ADMINISTRATOR.dn, '-w', password, '-H', served.url];
    await runTool('ldappasswd', [
      ...login(ADMINISTRATOR.password),
      '-a',
      ADMINISTRATOR.password,
      '-s',
      'two',
    ]);
    expect(passwords.get(ADMINISTRATOR.dn)).toBe('two');
    expect(await runTool('ldappasswd', login('two'))).toContain('New password: generated');
    const wrong = runTool('ldappasswd', [...login('generated'), '-a', 'wrong', '-s', 'x']);
    await expect(wrong).rejects.toMatchObject({
      output: expect.stringMatching(/credentials \(49\)/) as string,
    });
    const nobody = runTool('ldappasswd', ['-x', '-H', served.url, '-s', 'x']);
    await expect(nobody).rejects.toMatchObject({ output: expect.stringMatching(/required \(8\)/) as string });
  });

  it('is refused by the owner, and nothing changes', async () => {
    const { hooks, passwords } = owner();
    await using served = await serveDirectory({ hooks });
    const before = [...passwords];
    const reader = await served.client({ name: `cn=reader,${BASE}`, password: 'reader' });
    expect(await change(reader, { wanted: 'x' })).toBe('insufficientAccessRights');
    const client = await served.client();
    expect(await change(client, { old: 'wrong', wanted: 'x' })).toBe('invalidCredentials');
    expect(await change(client, { who: 'cn=nobody', wanted: 'x' })).toBe('noSuchObject');
    expect([...passwords]).toEqual(before);
  });

  it('is refused before the owner is asked: for strangers, broken or empty ones, with controls', async () => {
    const { hooks, asked } = owner();
    await using served = await serveDirectory({ hooks });
    expect(await change(await served.client('anonymous'), { wanted: 'x' })).toMatch(/^strongerAuthRequired/);
    const client = await served.client();
    expect(await change(client, { wanted: '' })).toMatch(/^constraintViolation/);
    expect(await change(client, { old: '', wanted: 'x' })).toMatch(/^constraintViolation/);
    expect(await change(client, { wanted: 'x'.repeat(1025) })).toMatch(/^constraintViolation/);
    const broken = client.extended(EXTENDED.passwordModify, Buffer.from('x'), { accept });
    expect(await outcome(broken)).toMatch(/^protocolError/);
    const value = encodePasswordModifyRequest({ newPassword: Buffer.from('x') });
    for (const oid of [CONTROL.transactionSpecification, CONTROL.assertion])
      expect(
        await outcome(client.extended(EXTENDED.passwordModify, value, { controls: [critical(oid)], accept })),
      ).toMatch(/^unavailableCriticalExtension/);
    expect(asked).toEqual([]);
  });

  it('wants confidentiality: TLS, a unix socket, or this machine', async () => {
    const { hooks } = owner();
    const { certificate, key } = await makeCertificate();
    await using served = await serveDirectory({
      hooks,
      server: { startTls: true },
      listener: { tls: { identity: { key, certificate }, startTls: true } },
    });
    const client = await served.client();
    // A connection that comes from elsewhere.
    for (const connection of served.listener.connections)
      Object.defineProperty(connection, 'remoteAddress', { value: '192.0.2.1' });
    expect(await change(client, { wanted: 'x' })).toMatch(/^confidentialityRequired/);
    const secured = await connectLdap({ target: served.url, clock: systemClock });
    await secured.startTls({ trust: { kind: 'pinned', verifyPeer: () => undefined } });
    await secured.bind(ADMINISTRATOR.dn, new Secret(ADMINISTRATOR.password));
    for (const connection of served.listener.connections)
      Object.defineProperty(connection, 'remoteAddress', { value: '192.0.2.1' });
    expect(await change(secured, { wanted: 'x' })).toBe('success');
    secured.destroy();
  });

  it('guessing the old password slows its source down, as guessing binds does', async () => {
    const { hooks } = owner();
    const clock = new FakeClock();
    await using served = await serveDirectory({ hooks, directory: { clock } });
    const client = await served.client();
    for (let n = 0; n < 3; n++)
      expect(await change(client, { old: 'wrong', wanted: 'x' })).toBe('invalidCredentials');
    const fourth = change(client, { old: 'wrong', wanted: 'x' });
    await clock.armed('directory.bind-throttle');
    await clock.advance(250);
    expect(await fourth).toBe('invalidCredentials');
  });

  it('is not there, nor listed, where the owner changes no passwords', async () => {
    const listed = async (served: ServedDirectory): Promise<boolean | undefined> => {
      const asked = { base: '', scope: 'base' as const, attributes: ['supportedExtension'] };
      const { entries } = await found(await served.client(), asked);
      return entries['']?.['supportedExtension']?.includes(EXTENDED.passwordModify);
    };
    await using without = await serveDirectory();
    expect(await change(await without.client(), { wanted: 'x' })).toMatch(/^protocolError/);
    expect(await listed(without)).toBe(false);
    await using changing = await serveDirectory({ hooks: owner().hooks });
    expect(await listed(changing)).toBe(true);
  });

  it('a failing owner tells nothing, and no log knows a password', async () => {
    const lines: string[] = [];
    const log = createLog({
      level: 'debug',
      format: 'json',
      write: (line) => lines.push(line),
      clock: systemClock,
    });
    const { hooks } = owner();
    let fails = false;
    await using served = await serveDirectory({
      hooks: {
        ...hooks,
        changePassword: (asked) => {
          if (fails) throw new Error(`broken: ${String(asked.wanted)}`);
          return hooks.changePassword?.(asked) ?? { result: SUCCESS };
        },
      },
      directory: { log },
    });
    const client = await served.client();
    expect(await change(client, { wanted: 'marker-1' })).toBe('success');
    fails = true;
    expect(await change(client, { wanted: 'marker-2' })).toBe('other: internal error');
    expect(lines.join('\n')).toMatch(/a password was changed/);
    expect(lines.join('\n')).not.toMatch(/marker/);
  });
});
