import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemFiles } from '../../base/files.ts';
import { isPosternError } from '../../base/error.ts';
import { missingPlugins, oldVersion } from './capability.ts';
import { checkSettings, givenUpAfterSeconds, renderSnippet, writeSnippet } from './settings.ts';
import { readStrongswanConf } from './strongswan-conf.ts';

const WANTED = { retransmitTimeout: 0.5, retransmitBase: 1, retransmitTries: 2 };
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'postern-conf-'));
});

afterEach(() => rm(folder, { recursive: true, force: true }));

async function put(files: Record<string, string>): Promise<string> {
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), text);
  }
  return join(folder, 'strongswan.conf');
}

const read = async (files: Record<string, string>): Promise<Record<string, string>> =>
  Object.fromEntries(await readStrongswanConf(systemFiles, await put(files)));

describe('strongswan.conf', () => {
  it('is read with sections, quotes, comments and includes, as Debian ships it', async () => {
    const text = `# strongswan.conf
charon {
    load_modular = yes
    plugins {
        include strongswan.d/charon/*.conf
    }
    retransmit_tries=3   # fewer
    syslog { daemon { default = -1 } }
    name = "a \\"quoted\\" # value"
}
include strongswan.d/*.conf
`;
    expect(
      await read({
        'strongswan.conf': text,
        'strongswan.d/b.conf': 'charon { retransmit_timeout = 2.0 }',
        'strongswan.d/a.conf': 'charon { retransmit_timeout = 1.0 }',
        'strongswan.d/c.other': 'charon { retransmit_timeout = 9 }',
        'strongswan.d/charon/vici.conf': 'vici {\n load = yes\n}',
      }),
    ).toEqual({
      'charon.load_modular': 'yes',
      'charon.plugins.vici.load': 'yes',
      'charon.retransmit_tries': '3',
      'charon.syslog.daemon.default': '-1',
      'charon.name': 'a "quoted" # value',
      'charon.retransmit_timeout': '2.0',
    });
  });

  it.each(['charon {', '}', 'charon { = 5 }', 'charon { a = "x'])(
    'that is none is refused: %s',
    async (text) => {
      await expect(read({ 'strongswan.conf': text })).rejects.toMatchObject({ code: 'ipsec.settings' });
    },
  );

  it('may include itself without an end, and is refused', async () => {
    await expect(read({ 'strongswan.conf': 'include strongswan.conf' })).rejects.toThrow(/too many files/);
  });

  it('that is not there has no settings', async () => {
    expect([...(await readStrongswanConf(systemFiles, join(folder, 'none')))]).toEqual([]);
  });

  it('of any text is read or refused', async () => {
    const piece = fc.constantFrom(
      'charon',
      ' ',
      '{',
      '}',
      '=',
      '"',
      '#',
      '\n',
      'include',
      'x',
      '\\',
      '*',
      ':',
    );
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { maxLength: 30 }), async (pieces) => {
        await read({ 'strongswan.conf': pieces.join('') }).catch((error: unknown) => {
          expect(isPosternError(error, 'ipsec.settings')).toBe(true);
        });
      }),
      { numRuns: 300 },
    );
  });
});

describe('settings of charon', () => {
  it('say how long a silent peer keeps us waiting', () => {
    // strongSwan's own default: 165 s.
    expect(
      Math.round(givenUpAfterSeconds({ retransmitTimeout: 4, retransmitBase: 1.8, retransmitTries: 5 })),
    ).toBe(165);
    expect(givenUpAfterSeconds(WANTED)).toBe(1.5);
  });

  it('are compared with what is set, charon-systemd’s own section first, else with the defaults', () => {
    const none = { larvalDrop: undefined, acquireExpires: undefined };
    const of = (settings: Record<string, string>): string[] =>
      checkSettings(WANTED, new Map(Object.entries(settings)), none).map(({ found, ok }) => `${found} ${ok}`);
    expect(of({})).toEqual(['4.0 false', '1.8 false', '5 false']);
    expect(
      of({
        'charon.retransmit_timeout': '0.50',
        'charon.retransmit_base': '1',
        'charon.retransmit_tries': '2',
      }),
    ).toEqual(['0.50 true', '1 true', '2 true']);
    expect(of({ 'charon.retransmit_tries': '2', 'charon-systemd.retransmit_tries': '9' })[2]).toBe('9 false');
    expect(
      checkSettings(WANTED, new Map(), { larvalDrop: '1', acquireExpires: '12884901' }).slice(3),
    ).toMatchObject([
      { name: 'charon.plugins.kernel-netlink.xfrm_acq_expires', ok: false, wanted: '2' },
      { name: 'net.core.xfrm_larval_drop', ok: false, wanted: '0' },
    ]);
  });

  it('are written so that charon reads them as wanted; once; never over somebody else’s file', async () => {
    const path = join(folder, 'strongswan.d', 'postern.conf');
    await put({ 'strongswan.conf': 'include strongswan.d/*.conf', 'strongswan.d/x.conf': '' });
    expect(await writeSnippet(systemFiles, path, WANTED)).toBe(true);
    expect(await writeSnippet(systemFiles, path, WANTED)).toBe(false);
    const settings = await readStrongswanConf(systemFiles, join(folder, 'strongswan.conf'));
    expect(
      checkSettings(WANTED, settings, {
        larvalDrop: '0',
        acquireExpires: settings.get('charon.plugins.kernel-netlink.xfrm_acq_expires'),
      }).every(({ ok }) => ok),
    ).toBe(true);
    expect(await writeSnippet(systemFiles, path, { ...WANTED, retransmitTries: 4 })).toBe(true);
    expect(await readFile(path, 'utf8')).toBe(renderSnippet({ ...WANTED, retransmitTries: 4 }));
    await writeFile(path, 'charon { }\n');
    await expect(writeSnippet(systemFiles, path, WANTED)).rejects.toMatchObject({ code: 'ipsec.settings' });
    expect(await readFile(path, 'utf8')).toBe('charon { }\n');
  });
});

describe('a charon', () => {
  it.each<[version: string, fits: boolean]>([
    ['5.9.8', true],
    ['5.9.14', true],
    ['6.0.1', true],
    ['6.0', true],
    ['10.0.0', true],
    ['5.9.7', false],
    ['5.8.9', false],
    ['4.6.4', false],
    ['strange', false],
    ['', false],
  ])('of version %s: %s', (version, fits) => {
    expect(oldVersion({ daemon: 'charon', system: '', version }) === undefined).toBe(fits);
  });

  it('needs its plugins', () => {
    expect(
      missingPlugins(['kernel-netlink', 'socket-default', 'openssl', 'pem', 'kdf', 'vici']),
    ).toBeUndefined();
    expect(missingPlugins(['socket-default', 'openssl', 'pem', 'kdf'])?.message).toContain('kernel-netlink');
  });
});
