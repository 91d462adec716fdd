import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { FakeClock } from '../../test/fakes/clock.ts';
import { fakeRandom } from '../../test/fakes/random.ts';
import { DecodeError } from '../base/decode-error.ts';
import { createIdentity, type Identity } from '../certificate/identity.ts';
import { POSTERN_CONTROL } from '../ldap/postern-oid.ts';
import {
  bindVerdictControl,
  bindVerdictOf,
  callOf,
  decodeInstall,
  decodeInstallVerdict,
  decodeRetire,
  encodeInstall,
  encodeInstallVerdict,
  encodeRetire,
  type Install,
  instanceControl,
  MOST_INSTALL_BYTES,
  verifyInstall,
} from './renewal-messages.ts';
import { MOST_RECORD_BYTES } from './sealed-record.ts';

const octets = (length: number): fc.Arbitrary<Buffer> =>
  fc.uint8Array({ minLength: length, maxLength: length }).map((bytes) => Buffer.from(bytes));
const call = fc.record({
  instance: octets(16).map((bytes) => bytes.toString('hex')),
  counter: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
});
const highest = fc.integer({ min: -1, max: 999_999_999 });
const retire = fc.oneof(
  fc.constant({ action: 'leave' as const }),
  fc.record({ action: fc.constant('delete' as const), number: fc.integer({ min: 0, max: 999_999_999 }) }),
);

const SESSION = Buffer.alloc(32, 1);
const EXAMPLE: Install = { instance: '0f'.repeat(16), counter: 7, record: Buffer.from('a sealed record') };

let hub: Identity;
let other: Identity;
beforeAll(async () => {
  const options = { clock: new FakeClock(), random: fakeRandom('messages') };
  hub = await createIdentity('hub1.example', options);
  other = await createIdentity('hub2.example', options);
});

describe('messages of the renewal', () => {
  it('come back as they went', () => {
    fc.assert(
      fc.property(call, highest, retire, (counted, number, retired) => {
        expect(callOf([instanceControl(counted)])).toEqual(counted);
        for (const outcome of [
          'ok',
          'who-am-i-only',
          'reused',
          'refused',
          'two-instances',
          'not-admitted',
        ] as const)
          expect(bindVerdictOf([bindVerdictControl({ outcome, highest: number })])).toEqual({
            outcome,
            highest: number,
          });
        for (const outcome of [
          'installed',
          'recovered',
          'number-used',
          'in-use',
          'exhausted',
          'clock',
        ] as const)
          expect(decodeInstallVerdict(encodeInstallVerdict({ outcome, highest: number }))).toEqual({
            outcome,
            highest: number,
          });
        expect(decodeRetire(encodeRetire(retired))).toEqual(retired);
      }),
    );
  });

  it('are absent where there are none', () => {
    expect(callOf([{ oid: '1.2.3', critical: true }])).toBeUndefined();
    expect(bindVerdictOf([])).toBeUndefined();
  });

  it('have the bytes that the architecture lays down', () => {
    const control = instanceControl({ instance: '00112233445566778899aabbccddeeff', counter: 300 });
    expect(control.critical).toBe(true);
    expect(control.value?.toString('hex')).toBe('3016041000112233445566778899aabbccddeeff0202012c');
    expect(bindVerdictControl({ outcome: 'reused', highest: -1 }).value?.toString('hex')).toBe(
      '30060a01020201ff',
    );
    expect(encodeInstallVerdict({ outcome: 'clock', highest: 4 }).toString('hex')).toBe('30060a0107020104');
    expect(encodeRetire({ action: 'delete', number: 3 }).toString('hex')).toBe('30060a0100800103');
    expect(encodeRetire({ action: 'leave' }).toString('hex')).toBe('30030a0101');
  });

  const decoders: readonly [string, (bytes: Buffer) => unknown][] = [
    ['instance', (value) => callOf([{ oid: POSTERN_CONTROL.instance, critical: true, value }])],
    [
      'verdict of a bind',
      (value) => bindVerdictOf([{ oid: POSTERN_CONTROL.instance, critical: false, value }]),
    ],
    ['installation', decodeInstall],
    ['verdict of an installation', decodeInstallVerdict],
    ['retirement', decodeRetire],
  ];

  it.each(decoders)('%s: any bytes are read or a decode error', (_name, decode) => {
    const good = [
      instanceControl(EXAMPLE).value ?? Buffer.alloc(0),
      encodeInstall(EXAMPLE, SESSION, hub),
      encodeInstallVerdict({ outcome: 'clock', highest: 4 }),
      encodeRetire({ action: 'delete', number: 3 }),
    ];
    const altered = fc
      .tuple(fc.constantFrom(...good), fc.nat(), fc.nat(255), fc.nat())
      .map(([bytes, at, to, cut]) => {
        const copy = Buffer.from(bytes);
        copy[at % copy.length] = to;
        return copy.subarray(0, cut % 2 === 0 ? copy.length : cut % copy.length);
      });
    fc.assert(
      fc.property(fc.oneof(altered, fc.uint8Array({ maxLength: 80 })), (bytes) => {
        try {
          decode(Buffer.from(bytes));
        } catch (error) {
          expect(error).toBeInstanceOf(DecodeError);
        }
      }),
      { numRuns: 2000 },
    );
    expect(() => decode(undefined as unknown as Buffer)).toThrow(DecodeError);
    expect(() => decode(Buffer.alloc(MOST_INSTALL_BYTES + 1, 0x30))).toThrow(DecodeError);
  });

  it('know no counter below 1, and no instance of another length', () => {
    const read = (hex: string): unknown =>
      callOf([{ oid: POSTERN_CONTROL.instance, critical: true, value: Buffer.from(hex, 'hex') }]);
    expect(() => read(`30150410${'00'.repeat(16)}020100`)).toThrow(DecodeError);
    expect(() => read(`3014040f${'00'.repeat(15)}020101`)).toThrow(DecodeError);
    // One encoding of each: the length is too long by an octet.
    expect(() => read(`3081150410${'00'.repeat(16)}020101`)).toThrow(DecodeError);
    expect(read(`30150410${'00'.repeat(16)}020101`)).toEqual({ instance: '00'.repeat(16), counter: 1 });
  });
});

describe('the signature of an installation', () => {
  it('holds for this hub, this session and this content, and for nothing else', () => {
    const value = encodeInstall(EXAMPLE, SESSION, hub);
    const install = decodeInstall(value);
    expect(install).toMatchObject(EXAMPLE);
    const { publicKey } = hub.certificate;
    expect(verifyInstall(install, SESSION, publicKey)).toBe(true);
    expect(verifyInstall(install, Buffer.alloc(32, 2), publicKey)).toBe(false);
    expect(verifyInstall(install, SESSION, other.certificate.publicKey)).toBe(false);
    const later = decodeInstall(encodeInstall({ ...EXAMPLE, counter: 8 }, SESSION, hub));
    expect(verifyInstall({ ...later, signature: install.signature }, SESSION, publicKey)).toBe(false);
    expect(verifyInstall({ ...install, signature: Buffer.alloc(0) }, SESSION, publicKey)).toBe(false);
  });

  it('leaves room for the largest record and the longest key', () => {
    const record = Buffer.alloc(MOST_RECORD_BYTES);
    expect(decodeInstall(encodeInstall({ ...EXAMPLE, record }, SESSION, hub)).record).toEqual(record);
    expect(encodeInstall({ ...EXAMPLE, record }, SESSION, hub).length - 64 + 512).toBeLessThanOrEqual(
      MOST_INSTALL_BYTES,
    );
  });
});
