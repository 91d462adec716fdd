/**
 * What hub and edge say to each other about the life of their credentials, in bytes; `docs/architecture.md` has the same as a table. Values are
 * strict DER; decoders throw `DecodeError`. Knows no connection and no state.
 *
 *   instance, control on a bind ::= SEQUENCE { instance OCTET STRING (SIZE 16), counter INTEGER (1..) }
 *   and on its answer ::= SEQUENCE { outcome ENUMERATED, highest INTEGER (-1..) }
 *   installCredential ::= SEQUENCE { content OCTET STRING (DER of Install), signature OCTET STRING }
 *   Install ::= SEQUENCE { instance OCTET STRING (SIZE 16), counter INTEGER (1..), record OCTET STRING (a sealed record) }
 *   its answer ::= SEQUENCE { outcome ENUMERATED, highest INTEGER (-1..) }
 *   retireCredential ::= SEQUENCE { action ENUMERATED { delete 0, leave 1 }, number [0] INTEGER OPTIONAL (delete only) }
 *
 * The signature of an installation is the hub's, by the key of the client certificate of this very session, over its purpose, keying material of this
 * TLS session (RFC 8446 §7.5), and the exact octets of `content`: in another session, or through somebody in between, it is worth nothing.
 */
import type { KeyObject } from 'node:crypto';
import { BerReader } from '../asn1/reader.ts';
import { contextTag, TAG } from '../asn1/tag.ts';
import { type BerWriter, encodeDer } from '../asn1/writer.ts';
import { DecodeError } from '../base/decode-error.ts';
import { type Identity, signAs } from '../certificate/identity.ts';
import { verifyBytes } from '../certificate/signature.ts';
import { findControl } from '../ldap/control.ts';
import type { Control } from '../ldap/message.ts';
import { POSTERN_CONTROL } from '../ldap/postern-oid.ts';
import { MOST_ACCOUNT_NUMBER } from './account-name.ts';
import type { RecoveryRefusal } from './lifecycle/hub-pair.ts';
import { MOST_RECORD_BYTES } from './sealed-record.ts';

/** Which installation of a hub calls, and for the how manieth time: persisted before it is sent. */
export interface Call {
  /** 16 random octets, 32 digits of lower-case hex. */
  readonly instance: string;
  /** From 1. */
  readonly counter: number;
}

/** What an edge says to a hub that has shown its pinned certificate. */
export interface BindVerdict {
  /** `reused`: the session may only hand over fresh keys. The last three are refusals. */
  readonly outcome: (typeof BIND_OUTCOMES)[number];
  /** Highest account number of the pair that the edge knows; -1: none. */
  readonly highest: number;
}

export interface Install extends Call {
  /** The record sealed to the edge, as it would be pushed. */
  readonly record: Buffer;
}

export interface SignedInstall extends Install {
  readonly content: Buffer;
  readonly signature: Buffer;
}

export interface InstallVerdict {
  /** `recovered`: installed, and counted as a recovery. */
  readonly outcome: 'installed' | 'recovered' | RecoveryRefusal;
  readonly highest: number;
}

export type Retire = { readonly action: 'delete'; readonly number: number } | { readonly action: 'leave' };

/** Of `exportKeyingMaterial`: 32 octets, no context. RFC 5705 §4 leaves labels that begin so to private use. */
export const INSTALL_EXPORTER = { label: 'EXPERIMENTAL-postern-install-credential', length: 32 } as const;
const INSTALL_DOMAIN = 'postern install credential v1';

const BIND_OUTCOMES = ['ok', 'who-am-i-only', 'reused', 'refused', 'two-instances', 'not-admitted'] as const;
const INSTALL_OUTCOMES = [
  'installed',
  'recovered',
  'number-used',
  'in-use',
  'exhausted',
  'two-instances',
  'not-admitted',
  'clock',
] as const satisfies readonly InstallVerdict['outcome'][];
const INSTANCE_OCTETS = 16;
const MOST_SIGNATURE_OCTETS = 512;
/** Longest `installCredential` value. */
export const MOST_INSTALL_BYTES = MOST_RECORD_BYTES + MOST_SIGNATURE_OCTETS + 64;

/** Critical: an edge that does not count calls must not be taken for one that does. */
export function instanceControl(call: Call): Control {
  return {
    oid: POSTERN_CONTROL.instance,
    critical: true,
    value: sequence((writer) => writeCall(writer, call)),
  };
}

/** The call that a bind's controls tell of, if any. */
export function callOf(controls: readonly Control[]): Call | undefined {
  const control = findControl(controls, POSTERN_CONTROL.instance);
  return control === undefined ? undefined : inSequence(control.value, MOST_CONTROL_BYTES, readCall);
}

export function bindVerdictControl(verdict: BindVerdict): Control {
  return {
    oid: POSTERN_CONTROL.instance,
    critical: false,
    value: encodeVerdict(BIND_OUTCOMES, verdict),
  };
}

/** What came with the answer to a bind; `undefined` from an edge that says nothing to this client. */
export function bindVerdictOf(controls: readonly Control[]): BindVerdict | undefined {
  const control = findControl(controls, POSTERN_CONTROL.instance);
  return control === undefined ? undefined : decodeVerdict(BIND_OUTCOMES, control.value);
}

/** `exporter`: of the TLS session that the request goes out on (`INSTALL_EXPORTER`). */
export function encodeInstall(install: Install, exporter: Uint8Array, hub: Identity): Buffer {
  const content = sequence((writer) => {
    writeCall(writer, install);
    writer.octets(install.record);
  });
  return sequence((writer) => {
    writer.octets(content);
    writer.octets(signAs(hub, INSTALL_DOMAIN, bound(exporter, content)));
  });
}

/** Structure only: not to be believed before `verifyInstall`. */
export function decodeInstall(value: Buffer | undefined): SignedInstall {
  const { content, signature } = inSequence(value, MOST_INSTALL_BYTES, (reader) => ({
    content: reader.octets(),
    signature: reader.octets(),
  }));
  if (signature.length > MOST_SIGNATURE_OCTETS) throw new DecodeError('the signature is too long', 0);
  const install = inSequence(content, MOST_INSTALL_BYTES, (reader) => ({
    ...readCall(reader),
    record: reader.octets(),
  }));
  return { ...install, content, signature };
}

/** Whether the owner of `publicKey` asked for this in the session that `exporter` is of. */
export function verifyInstall(install: SignedInstall, exporter: Uint8Array, publicKey: KeyObject): boolean {
  return verifyBytes(publicKey, INSTALL_DOMAIN, bound(exporter, install.content), install.signature);
}

export function encodeInstallVerdict(verdict: InstallVerdict): Buffer {
  return encodeVerdict(INSTALL_OUTCOMES, verdict);
}

export function decodeInstallVerdict(value: Buffer | undefined): InstallVerdict {
  return decodeVerdict(INSTALL_OUTCOMES, value);
}

export function encodeRetire(retire: Retire): Buffer {
  return sequence((writer) => {
    writer.enumerated(retire.action === 'delete' ? 0 : 1);
    if (retire.action === 'delete') writer.integer(retire.number, contextTag(0));
  });
}

export function decodeRetire(value: Buffer | undefined): Retire {
  return inSequence(value, MOST_CONTROL_BYTES, (reader) =>
    reader.enumerated(1) === 0
      ? { action: 'delete', number: reader.integer(0, MOST_ACCOUNT_NUMBER, contextTag(0)) }
      : { action: 'leave' },
  );
}

const MOST_CONTROL_BYTES = 64;

function encodeVerdict<T extends string>(
  outcomes: readonly T[],
  verdict: { readonly outcome: T; readonly highest: number },
): Buffer {
  return sequence((writer) => {
    writer.enumerated(outcomes.indexOf(verdict.outcome));
    writer.integer(verdict.highest);
  });
}

function decodeVerdict<T extends string>(
  outcomes: readonly T[],
  value: Buffer | undefined,
): { readonly outcome: T; readonly highest: number } {
  return inSequence(value, MOST_CONTROL_BYTES, (reader) => ({
    outcome: outcomes[reader.enumerated(outcomes.length - 1)] as T,
    highest: reader.integer(-1, MOST_ACCOUNT_NUMBER),
  }));
}

function writeCall(writer: BerWriter, { instance, counter }: Call): void {
  writer.octets(Buffer.from(instance, 'hex'));
  writer.integer(counter);
}

function readCall(reader: BerReader): Call {
  const instance = reader.octets();
  if (instance.length !== INSTANCE_OCTETS) reader.fail('an instance has 16 octets');
  return { instance: instance.toString('hex'), counter: reader.integer(1, Number.MAX_SAFE_INTEGER) };
}

/** Both ends make the exporter themselves, always of the same length: no octet can move from one part to the other. */
function bound(exporter: Uint8Array, content: Uint8Array): Buffer {
  if (exporter.length !== INSTALL_EXPORTER.length) throw new TypeError('keying material of another length');
  return Buffer.concat([exporter, content]);
}

function sequence(write: (writer: BerWriter) => void): Buffer {
  return encodeDer((writer) => {
    const mark = writer.open(TAG.sequence);
    write(writer);
    writer.close(mark);
  });
}

function inSequence<T>(value: Buffer | undefined, mostBytes: number, decode: (reader: BerReader) => T): T {
  if (value === undefined) throw new DecodeError('value is missing', 0);
  if (value.length > mostBytes) throw new DecodeError('value is too long', 0);
  const reader = new BerReader(value, 0, value.length, { der: true });
  const outer = reader.enter(TAG.sequence);
  const decoded = decode(reader);
  reader.leave(outer);
  reader.finish();
  return decoded;
}
