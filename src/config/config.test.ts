import { parse } from 'smol-toml';
import { describe, expect, it } from 'vitest';
import { edgeConfigSchema } from './edge-config.ts';
import { parseListenAddress } from './field.ts';
import { hubConfigSchema } from './hub-config.ts';
import { parseConfig } from './load.ts';
import { printConfig } from './print.ts';

const EDGE = 'name = "edge1"\nfqdn = "Edge1.example.org."\n';
const edge = (text: string): unknown => parseConfig(edgeConfigSchema, text, 'edge.toml');
const hub = (text: string): unknown => parseConfig(hubConfigSchema, text, 'hub.toml');

describe('edge.toml', () => {
  it('needs only a name', () => {
    expect(edge(EDGE)).toMatchObject({
      fqdn: 'edge1.example.org',
      data: '/var/lib/postern/edge',
      listen: { ldaps: { kind: 'tcp', host: '0.0.0.0', port: 50636 }, socketmap: [{ port: 50390 }] },
      lookup: { max_age: 21 * 86_400_000 },
      removal_guard: { most: 500, percent: 20 },
      directory: { schema: [] },
    });
  });

  it.each([
    ['a misspelt key', `${EDGE}daat = "/x"`, 'unknown key "daat" (did you mean "data"?)'],
    ['a misspelt key in a table', `${EDGE}[listen]\nldap_s = "x"`, '(did you mean "listen.ldaps"?)'],
    ['a foreign key', `${EDGE}zzzzzzzz = 1`, 'unknown key "zzzzzzzz"'],
    ['no name', 'fqdn = "a.b"', 'name:'],
    ['a name with a dot', 'name = "a.b"\nfqdn = "a.b"', 'letters, digits and hyphens'],
    ['a short host name', 'name = "a"\nfqdn = "a"', 'fully qualified'],
    ['a lookup port for the world', `${EDGE}[listen]\nsocketmap = ["0.0.0.0:50390"]`, 'must be on loopback'],
    ['a broken duration', `${EDGE}[lookup]\nmax_age = "soon"`, '"soon" is not a duration'],
    ['broken TOML', 'name = edge1', 'line 1'],
    ['a relative folder', `${EDGE}data = "x"`, 'an absolute path'],
    ['a rollover that begins before the certificate', `${EDGE}[rollover]\nvalidity = "30d"`, 'shorter than'],
    ['an overlap that is too long', `${EDGE}[rollover]\noverlap = "2000d"`, 'at most half of validity'],
    ['a certificate for a minute', `${EDGE}[rollover]\nvalidity = "1min"`, 'from 1h to 36500d'],
    ['a relative schema file', `${EDGE}[directory]\nschema = ["x"]`, 'directory.schema.0: an absolute path'],
  ])('refuses %s', (_name, text, message) => {
    expect(() => edge(text)).toThrow(message);
    expect(() => edge(text)).toThrow(
      expect.objectContaining({ code: 'config.invalid', hint: expect.stringMatching(/./) as string }),
    );
  });

  it('reports every fault at once', () => {
    expect(() => edge('nmae = "x"')).toThrow(/name:.*fqdn:.*unknown key "nmae"/s);
  });
});

describe('the life of credentials in hub.toml', () => {
  const HUB = 'name = "hub1"\nfqdn = "hub1.example.org"\n[credentials]\n';

  it('has defaults that fit each other, and takes others that do', () => {
    expect(hub(HUB)).toMatchObject({
      credentials: { lifetime: 30 * 86_400_000, successor_before: 7 * 86_400_000, cycle: 300_000 },
    });
    const short = 'lifetime = "3d"\nsuccessor_before = "2d"\neffective_before = "20min"\ncycle = "1min"';
    expect(hub(`${HUB}${short}`)).toMatchObject({ credentials: { effective_before: 1_200_000 } });
  });

  it.each([
    ['lifetime = "10d"', 'lifetime (10 d) must be longer than successor_before and effective_before (10 d)'],
    [
      'lifetime = "401d"',
      'lifetime (401 d) must not be longer than the longest that an edge takes on (400 d)',
    ],
    ['successor_before = "3d"', 'successor_before (3 d) must be longer than effective_before and twice that'],
    ['effective_before = "15min"', 'effective_before (15 min) must be longer than the cycle interval'],
    ['cycle = "6min"', 'the cycle interval (6 min) must not be longer than recovery_quiet (5 min)'],
  ])('refuses %s, naming both numbers', (text, message) => {
    expect(() => hub(`${HUB}${text}`)).toThrow(`credentials: ${message}`);
  });
});

describe('hub.toml', () => {
  it('says what a source needs', () => {
    const text = 'name = "hub1"\nfqdn = "hub1.example.org"\n[source]\nkind = "openldap"\nbind_dn = "cn=x"\n';
    expect(() => hub(text)).toThrow(/needs url.*say where recipients are.*needs a password_file/s);
  });

  it('prints what it read, defaults included, and reads that again', () => {
    const text = 'name = "hub1"\nfqdn = "hub1.example.org"\n[source]\nkind = "ldif"\npath = "/x"\n';
    const first = hub(text) as object;
    expect(hub(printConfig(first))).toEqual(first);
    const second = edge(EDGE) as object;
    expect(edge(printConfig(second))).toEqual(second);
    expect(parse(printConfig(second))).toMatchObject({ lookup: { max_age: '21 d' } });
  });
});

describe('listen addresses', () => {
  it.each([
    ['127.0.0.1:80', { kind: 'tcp', host: '127.0.0.1', port: 80 }],
    ['[::1]:80', { kind: 'tcp', host: '::1', port: 80 }],
    ['unix:/run/x', { kind: 'unix', path: '/run/x', mode: 0o660 }],
    ['unix:/run/x?mode=0666', { kind: 'unix', path: '/run/x', mode: 0o666 }],
    ['::1:80', undefined],
    ['host', undefined],
    ['host:70000', undefined],
    ['unix:relative', undefined],
  ])('%s', (text, expected) => {
    expect(parseListenAddress(text)).toEqual(expected);
  });
});
