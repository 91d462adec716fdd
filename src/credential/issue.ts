/**
 * The hub's side of a credential: making an ESRA for one edge, with one record sealed to the edge and one to the hub itself, and opening the hub's
 * own records again. Holds no state: numbers, windows and stores are the caller's.
 */
import { describeError } from '../base/error.ts';
import type { Random } from '../base/random.ts';
import type { Secret } from '../base/secret.ts';
import type { Identity } from '../certificate/identity.ts';
import type { SealingKeyPair } from '../certificate/sealing.ts';
import { formatAccountName, sameName } from './account-name.ts';
import { createPassword, type PasswordPolicy } from './password.ts';
import {
  createCredentialRecord,
  type CredentialRecord,
  decodeCredentialRecord,
  type NewCredential,
  openCredentialRecord,
  type SealingRecipient,
  verifyCredentialRecord,
} from './record.ts';
import { usableCredentials, type Window } from './schedule.ts';

/** This hub. `fqdn` in lower case. */
export interface HubNode {
  readonly name: string;
  readonly fqdn: string;
  readonly identity: Identity;
  /** Keys of this hub before the present one: what they signed, or what names them, is signed anew and counts until then. */
  readonly formerPins?: readonly Identity['pin'][];
  /** Newest first. */
  readonly sealingKeys: readonly [SealingKeyPair, ...SealingKeyPair[]];
}

/** An edge as a hub knows it. `fqdn` in lower case. */
export interface EdgePeer extends SealingRecipient {
  readonly name: string;
  readonly fqdn: string;
}

export interface IssueOptions {
  readonly hub: HubNode;
  readonly edge: EdgePeer;
  /** Never used before for this pair (`nextAccountNumber`). */
  readonly number: number;
  readonly window: Window;
  /** As the edge declares it. */
  readonly policy: PasswordPolicy;
  readonly random: Random;
}

export interface IssuedCredential extends Window {
  readonly userName: string;
  /** For the edge's object in the configuration directory. */
  readonly recordForEdge: Buffer;
  /** For this hub's own object. */
  readonly recordForHub: Buffer;
}

/** The pins that are this hub's own: the present one first. */
export function hubPins({ identity, formerPins = [] }: HubNode): Identity['pin'][] {
  return [identity.pin, ...formerPins];
}

/** What a hub can have sealed to itself. */
export function asRecipient(hub: HubNode): SealingRecipient {
  return { pin: hub.identity.pin, sealingKey: hub.sealingKeys[0].publicKey };
}

/** Makes an ESRA. The password exists in clear only within this call. */
export async function issueCredential(options: IssueOptions): Promise<IssuedCredential> {
  const { hub, edge, window } = options;
  const credential = newCredential(options);
  const password = createPassword(options.policy, options.random);
  try {
    const recordForEdge = await createCredentialRecord(credential, password, edge, hub.identity);
    const recordForHub = await createCredentialRecord(credential, password, asRecipient(hub), hub.identity);
    return { userName: credential.userName, ...window, recordForEdge, recordForHub };
  } finally {
    password.erase();
  }
}

/** The first half of an ESRA: its password, in a record for this hub alone. */
export async function keepCredential(options: IssueOptions): Promise<Buffer> {
  const { hub } = options;
  const password = createPassword(options.policy, options.random);
  try {
    return await createCredentialRecord(newCredential(options), password, asRecipient(hub), hub.identity);
  } finally {
    password.erase();
  }
}

/** The second half: the same credential sealed to its edge. Throws `seal.open-failed`. */
export async function resealForEdge(
  { record }: OwnCredential,
  edge: SealingRecipient,
  hub: HubNode,
): Promise<Buffer> {
  const { targetServerFqdn, sourceServerFqdn, effectiveAt, expiresAt, userName } = record;
  const password = await openCredentialRecord(record, hub.sealingKeys);
  try {
    const credential = { targetServerFqdn, sourceServerFqdn, effectiveAt, expiresAt, userName };
    return await createCredentialRecord(credential, password, edge, hub.identity);
  } finally {
    password.erase();
  }
}

function newCredential({ hub, edge, number, window }: IssueOptions): NewCredential {
  return {
    targetServerFqdn: edge.fqdn,
    sourceServerFqdn: hub.fqdn,
    effectiveAt: window.effectiveAt,
    expiresAt: window.expiresAt,
    userName: formatAccountName({ kind: 'esra', edge: edge.name, hub: hub.name, number }),
  };
}

/** The bootstrap credential, sealed to one hub by the importing one. */
export function resealBootstrap(
  bootstrap: { readonly edge: Pick<EdgePeer, 'name' | 'fqdn'>; readonly password: Secret } & Window,
  recipient: SealingRecipient,
  issuer: Identity,
): Promise<Buffer> {
  const credential = {
    targetServerFqdn: bootstrap.edge.fqdn,
    sourceServerFqdn: '',
    effectiveAt: bootstrap.effectiveAt,
    expiresAt: bootstrap.expiresAt,
    userName: formatAccountName({ kind: 'bootstrap', edge: bootstrap.edge.name }),
  };
  return createCredentialRecord(credential, bootstrap.password, recipient, issuer);
}

/** A credential that this hub can present: `password` is opened only when it is needed. */
export interface OwnCredential extends Window {
  readonly userName: string;
  readonly kind: 'bootstrap' | 'esra';
  readonly number: number;
  readonly record: CredentialRecord;
}

export interface OwnCredentials {
  readonly credentials: OwnCredential[];
  /** Records that were passed over, and why: for `doctor` and the log. */
  readonly ignored: { readonly reason: string }[];
}

/**
 * This hub's credentials for one edge among the records of its own object: sealed to it, and issued by it or, for a bootstrap record, by one of
 * `trustedIssuers` (pins of admitted hubs). Whatever else stands there is passed over.
 */
export function ownCredentials(
  records: readonly Uint8Array[],
  hub: HubNode,
  edgeName: string,
  trustedIssuers: readonly Identity['pin'][] = [],
): OwnCredentials {
  const credentials: OwnCredential[] = [];
  const ignored: { reason: string }[] = [];
  for (const bytes of records) {
    try {
      const record = decodeCredentialRecord(bytes);
      const { account } = record;
      if (!sameName(account.edge, edgeName)) continue;
      if (account.kind === 'esra' && !sameName(account.hub, hub.name)) continue;
      verifyCredentialRecord(
        record,
        account.kind === 'esra' ? hubPins(hub) : [...hubPins(hub), ...trustedIssuers],
      );
      const number = account.kind === 'esra' ? account.number : -1;
      credentials.push({
        userName: record.userName,
        kind: account.kind,
        number,
        effectiveAt: record.effectiveAt,
        expiresAt: record.expiresAt,
        record,
      });
    } catch (error) {
      ignored.push({ reason: describeError(error) });
    }
  }
  return { credentials, ignored };
}

/** The ones to try, best first: ESRAs in their window, the newest first; then the bootstrap one. */
export function credentialsToTry(own: OwnCredentials, now: number): OwnCredential[] {
  const usable = (kind: OwnCredential['kind']): OwnCredential[] =>
    usableCredentials(
      own.credentials.filter((one) => one.kind === kind),
      now,
    );
  return [...usable('esra'), ...usable('bootstrap')];
}

/** The password to bind with. Erase it after use. Throws `seal.open-failed`. */
export function openOwnCredential(credential: OwnCredential, hub: HubNode): Promise<Secret> {
  return openCredentialRecord(credential.record, hub.sealingKeys);
}
