import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { FakeClock } from '../../test/fakes/clock.ts';
import { fakeRandom } from '../../test/fakes/random.ts';
import { DecodeError } from '../base/decode-error.ts';
import { isPosternError, PosternError } from '../base/error.ts';
import { Secret } from '../base/secret.ts';
import { createIdentity, type Identity } from '../certificate/identity.ts';
import { createSealingKeyPair, type SealingKeyPair } from '../certificate/sealing.ts';
import {
  createAddressKey,
  createAddressKeyRecord,
  decodeAddressKeyRecord,
  openAddressKeyRecord,
  verifyAddressKeyRecord,
} from './address-key.ts';
import {
  createCredentialRecord,
  decodeCredentialRecord,
  type NewCredential,
  openCredentialRecord,
  verifyCredentialRecord,
} from './record.ts';
import { createSealedRecord, decodeSealedRecord } from './sealed-record.ts';

interface Node {
  identity: Identity;
  sealing: SealingKeyPair;
}
const random = fakeRandom('record');
const makeNode = async (name: string): Promise<Node> => ({
  identity: await createIdentity(name, { clock: new FakeClock(), random }),
  sealing: await createSealingKeyPair(random),
});
const recipient = (node: Node) => ({ pin: node.identity.pin, sealingKey: node.sealing.publicKey });

const START = Date.UTC(2026, 10, 1);
const credential: NewCredential = {
  targetServerFqdn: 'edge1.example',
  sourceServerFqdn: 'hub1.example',
  effectiveAt: START,
  expiresAt: START + 30 * 86_400_000,
  userName: 'ESRA.edge1.hub1.0',
};
const password = new Secret('correct horse battery staple');

let edge: Node;
let otherEdge: Node;
let hub: Node;
let mallory: Node;
let record: Buffer;
beforeAll(async () => {
  [edge, otherEdge, hub, mallory] = (await Promise.all(
    ['edge1.example', 'edge2.example', 'hub1.example', 'mallory.example'].map(makeNode),
  )) as [Node, Node, Node, Node];
  record = await createCredentialRecord(credential, password, recipient(edge), hub.identity);
});

/** What the edge would do with any bytes: the password, or a code. */
const openAtEdge = async (bytes: Uint8Array, keys: SealingKeyPair = edge.sealing): Promise<string> => {
  try {
    const decoded = decodeCredentialRecord(bytes);
    verifyCredentialRecord(decoded, hub.identity.pin);
    return (await openCredentialRecord(decoded, keys)).revealText();
  } catch (error) {
    if (isPosternError(error)) return error.code;
    throw error;
  }
};

describe('a credential record', () => {
  it('says who, for whom, when, and gives its node the password', async () => {
    const decoded = decodeCredentialRecord(record);
    expect(decoded).toMatchObject({
      ...credential,
      sealedTo: edge.identity.pin,
      issuer: hub.identity.pin,
      account: { kind: 'esra', edge: 'edge1', hub: 'hub1', number: 0 },
    });
    expect(await openAtEdge(record)).toBe(password.revealText());
  });

  it('holds nothing of the password in the clear', () => {
    expect(record.includes(password.reveal())).toBe(false);
    expect(JSON.stringify(decodeCredentialRecord(record))).not.toContain(password.revealText());
  });

  it('opens for no other node and from no other issuer', async () => {
    expect(await openAtEdge(record, otherEdge.sealing)).toBe('seal.open-failed');
    expect(
      await openAtEdge(await createCredentialRecord(credential, password, recipient(edge), mallory.identity)),
    ).toBe('pin.mismatch');
  });

  it('with any one bit changed is refused', async () => {
    for (let at = 0; at < record.length; at++) {
      const bytes = Buffer.from(record);
      bytes[at] = (bytes[at] ?? 0) ^ (1 << (at % 8));
      expect(['decode', 'credential.invalid', 'pin.mismatch'], `byte ${at}`).toContain(
        await openAtEdge(bytes),
      );
    }
  });

  it('cut anywhere, or with something behind it, is refused', async () => {
    for (let length = 0; length < record.length; length++)
      expect(await openAtEdge(record.subarray(0, length))).toBe('decode');
    expect(await openAtEdge(Buffer.concat([record, Buffer.of(0)]))).toBe('decode');
    expect(await openAtEdge(Buffer.alloc(9000))).toBe('decode');
  });

  it('whose envelope was put under other fields does not open, even when it is signed again', async () => {
    // Somebody inside (a hub's own key) moves the edge's envelope to a record with a later end.
    const later = decodeCredentialRecord(
      await createCredentialRecord(
        { ...credential, expiresAt: credential.expiresAt + 1 },
        password,
        recipient(edge),
        hub.identity,
      ),
    );
    const original = decodeCredentialRecord(record);
    const moved = { ...later, sealedRecord: { ...later.sealedRecord, sealed: original.sealedRecord.sealed } };
    await expect(openCredentialRecord(moved, edge.sealing)).rejects.toThrow(
      expect.objectContaining({ code: 'seal.open-failed' }),
    );
  });

  it('that names another issuer than its signer is refused', async () => {
    const fields = decodeSealedRecord(record).fields;
    const forged = await createSealedRecord(
      'postern credential v1',
      fields,
      password,
      edge.sealing.publicKey,
      mallory.identity,
    );
    expect(() => decodeCredentialRecord(forged)).toThrow(
      expect.objectContaining({ code: 'credential.invalid' }),
    );
  });

  it('is not an address key record, nor the other way round', async () => {
    const { fields } = decodeSealedRecord(record);
    const asKey = await createSealedRecord(
      'postern address key v1',
      fields,
      password,
      edge.sealing.publicKey,
      hub.identity,
    );
    expect(await openAtEdge(asKey)).toBe('credential.invalid');
    expect(() => decodeAddressKeyRecord(record)).toThrow(DecodeError);
  });

  it.each<[string, Partial<NewCredential>]>([
    ['a user name that is none', { userName: 'admin' }],
    ['a target in upper case', { targetServerFqdn: 'EDGE1.example' }],
    ['no target', { targetServerFqdn: '' }],
    ['no source for a hub', { sourceServerFqdn: '' }],
    ['a source for a bootstrap', { userName: 'ESRA.edge1' }],
    ['an end before its beginning', { expiresAt: START }],
    ['a time before 1970', { effectiveAt: -1 }],
    ['a time after 9999', { expiresAt: 253_402_300_800_000 }],
  ])('with %s is not even made', (_name, change) => {
    expect(() =>
      createCredentialRecord({ ...credential, ...change }, password, recipient(edge), hub.identity),
    ).toThrow(expect.objectContaining({ code: expect.stringMatching(/^(credential\.invalid|decode)$/) }));
  });

  it('of any bytes at all is refused as such', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(() => decodeCredentialRecord(bytes)).toThrow(DecodeError);
      }),
    );
  });
});

describe('an address key', () => {
  it('reaches the edge and only the edge', async () => {
    const key = createAddressKey(random);
    const bytes = await createAddressKeyRecord(
      key,
      { fqdn: 'edge1.example', createdAt: START },
      recipient(edge),
      hub.identity,
    );
    const decoded = decodeAddressKeyRecord(bytes);
    expect(decoded).toMatchObject({
      edgeFqdn: 'edge1.example',
      keyId: key.id,
      createdAt: START,
      sealedTo: edge.identity.pin,
      issuer: hub.identity.pin,
    });
    verifyAddressKeyRecord(decoded, hub.identity.pin);
    expect(() => verifyAddressKeyRecord(decoded, mallory.identity.pin)).toThrow(
      expect.objectContaining({ code: 'pin.mismatch' }),
    );
    const opened = await openAddressKeyRecord(decoded, edge.sealing);
    expect(opened.id).toBe(key.id);
    expect(opened.key.equals(key.key)).toBe(true);
    await expect(openAddressKeyRecord(decoded, otherEdge.sealing)).rejects.toThrow(
      expect.objectContaining({ code: 'seal.open-failed' }),
    );
    for (let at = 0; at < bytes.length; at++) {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ (0x80 >> (at % 8));
      expect(
        () => verifyAddressKeyRecord(decodeAddressKeyRecord(changed), hub.identity.pin),
        `byte ${at}`,
      ).toThrow(PosternError);
    }
  });

  it('that is not the one its record names is refused', async () => {
    const [key, other] = [createAddressKey(random), createAddressKey(random)];
    const bytes = await createAddressKeyRecord(
      { id: key.id, key: other.key },
      { fqdn: 'edge1.example', createdAt: START },
      recipient(edge),
      hub.identity,
    );
    await expect(openAddressKeyRecord(decodeAddressKeyRecord(bytes), edge.sealing)).rejects.toThrow(
      expect.objectContaining({ code: 'credential.invalid' }),
    );
  });
});
