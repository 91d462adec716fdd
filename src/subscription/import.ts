/**
 * The hub's side of a subscription: from a file to everything that has to be written, and the way back. Decides and makes (passwords, keys, records);
 * writes nothing: `ImportPlan.changes` go to the configuration directory in one transaction, `ImportPlan.trust` to the trust store. Whether the edge's
 * name resolves and its port answers with the pinned key is asked by the caller, before it writes.
 */
import { PosternError } from '../base/error.ts';
import type { Random } from '../base/random.ts';
import type { Secret } from '../base/secret.ts';
import { type Pin, samePin } from '../certificate/pin.ts';
import { openSealed } from '../certificate/sealing.ts';
import { verifyClaim } from '../certificate/statement.ts';
import { nameKey, sameName } from '../credential/account-name.ts';
import {
  createAddressKey,
  createAddressKeyRecord,
  decodeAddressKeyRecord,
} from '../credential/address-key.ts';
import { asRecipient, type HubNode, issueCredential, resealBootstrap } from '../credential/issue.ts';
import { DEFAULT_PASSWORD_POLICY } from '../credential/password.ts';
import { decodeCredentialRecord, type SealingRecipient } from '../credential/record.ts';
import { DEFAULT_LIFETIME_MS, firstWindow } from '../credential/schedule.ts';
import type { AddRequest, DeleteRequest, ModifyRequest } from '../ldap/message.ts';
import { PASSWORD_PURPOSE } from './edge-subscription.ts';
import type { SubscriptionFile } from './file.ts';
import { endorsement } from './membership.ts';
import { addTopologyObject, edgeDn, hubDn } from './topology-objects.ts';
import { findEdge, type HubTrustState, type SubscribedEdge, withUsed } from './trust-state.ts';
import { expectFingerprint, type ValidatedSubscription, validateSubscription } from './validate.ts';

export type ConfigurationChange = AddRequest | ModifyRequest | DeleteRequest;

export interface ImportOptions {
  readonly file: SubscriptionFile;
  readonly now: number;
  readonly hub: HubNode;
  readonly site: string;
  /** Suffix of the configuration directory; empty for the embedded one. */
  readonly base?: string | undefined;
  readonly trust: HubTrustState;
  /** Names of the edges that the configuration directory has already, whichever hub imported them. */
  readonly edgesPresent: readonly string[];
  readonly expectFingerprint?: Pin | undefined;
  /** Life of the ESRA; 30 d unless told. */
  readonly lifetimeMs?: number | undefined;
  readonly random: Random;
  readonly peers?: readonly PeerRecipient[];
  /**
   * For an unsigned file: what the session that tried it found out. A bind with the file's password succeeded at a server that showed the file's
   * certificate, and this is its sealing statement.
   */
  readonly provenByBind?: { readonly sealingStatement: Uint8Array } | undefined;
}

/** Another hub of the site, which is handed the key of the new edge's addresses. */
export interface PeerRecipient {
  readonly name: string;
  readonly recipient: SealingRecipient;
}

export interface ImportPlan {
  readonly subscription: ValidatedSubscription;
  readonly edge: SubscribedEdge;
  /** To be written in one transaction, in this order. */
  readonly changes: readonly ConfigurationChange[];
  /** For the trust store, before the changes are written; a crash between the two leaves an edge that `remove` ends. */
  readonly trust: (draft: HubTrustState) => HubTrustState;
  /** Takes `trust` back when the changes could not be written: the file may be imported again. */
  readonly undo: (draft: HubTrustState) => HubTrustState;
  readonly userName: string;
  readonly expiresAt: number;
  readonly warnings: readonly string[];
}

/**
 * What must hold before the network is touched: the file is good now, is the expected one, can be opened by this hub, and was not used before.
 * Throws the reasons of `validateSubscription`, `pin.mismatch`, `subscription.wrong-hub`, `subscription.duplicate`.
 */
export function checkImport(
  options: Pick<ImportOptions, 'file' | 'now' | 'hub' | 'trust' | 'edgesPresent' | 'expectFingerprint'>,
): ValidatedSubscription {
  const { file, hub, trust } = options;
  const used = trust.usedSubscriptions.find((one) => one.id === file.id);
  // Said first: a file that was imported a month ago has also expired, but that is not what the administrator should hear.
  if (used !== undefined) {
    throw duplicate(
      `this file was imported already, for edge ${used.edge} on ${new Date(used.at).toISOString()}`,
      'a file is used once; make a new one on the edge',
    );
  }
  const subscription = validateSubscription(file, options.now);
  if (options.expectFingerprint !== undefined) expectFingerprint(subscription, options.expectFingerprint);
  if (file.password.kind === 'sealed' && !samePin(file.password.pin, hub.identity.pin)) {
    throw new PosternError(
      'subscription.wrong-hub',
      `the file is sealed to hub ${file.password.hub}; this hub cannot open it`,
      {
        hint: `import it on ${file.password.hub}, or make a file for this hub with --seal-to`,
        fields: { hub: file.password.hub },
      },
    );
  }
  const { edgeName } = subscription;
  if (
    findEdge(trust, edgeName) !== undefined ||
    options.edgesPresent.some((name) => sameName(name, edgeName))
  ) {
    throw duplicate(
      `edge ${edgeName} is subscribed already`,
      `end that subscription first: postern subscription remove ${edgeName}`,
    );
  }
  const same = Object.values(trust.edges).find((edge) => samePin(edge.pins.current, subscription.pin));
  if (same !== undefined) {
    throw duplicate(
      `the edge of this file is subscribed already, as ${same.name}`,
      `end that subscription first: postern subscription remove ${same.name}`,
    );
  }
  return subscription;
}

/** The password of the bootstrap account. Erase it after use. Throws `subscription.wrong-hub` when this hub cannot open it. */
export async function openFilePassword(file: SubscriptionFile, hub: HubNode): Promise<Secret> {
  if (file.password.kind === 'clear') return file.password.secret;
  try {
    return await openSealed(file.password.bytes, hub.sealingKeys, {
      info: PASSWORD_PURPOSE,
      associatedData: file.passwordContext,
    });
  } catch (cause) {
    throw new PosternError(
      'subscription.wrong-hub',
      'the password of the file cannot be opened by this hub',
      {
        cause,
        hint: 'this hub\'s key was changed since "postern hub key" was run, or the file was altered; make a new one',
      },
    );
  }
}

export async function prepareImport(options: ImportOptions): Promise<ImportPlan> {
  const subscription = checkImport(options);
  const { file, hub, now, random, site, base } = options;
  const { sealingKey, statement, statedAt } = sealingOf(subscription, options);
  const peer = {
    name: subscription.edgeName,
    fqdn: subscription.edgeFqdn,
    pin: subscription.pin,
    sealingKey,
  };
  const key = nameKey(peer.name);
  const retired = Object.hasOwn(options.trust.retiredNumbers, key)
    ? options.trust.retiredNumbers[key]
    : undefined;
  const number = retired === undefined ? 0 : retired + 1;
  const passwordPolicy = file.passwordPolicy ?? DEFAULT_PASSWORD_POLICY;
  const issued = await issueCredential({
    hub,
    edge: peer,
    number,
    window: firstWindow(now, options.lifetimeMs ?? DEFAULT_LIFETIME_MS),
    policy: passwordPolicy,
    random,
  });
  const password = await openFilePassword(file, hub);
  const bootstrap = await resealBootstrap(
    { edge: peer, password, effectiveAt: subscription.effectiveAt, expiresAt: subscription.expiresAt },
    asRecipient(hub),
    hub.identity,
  );
  const addressKey = createAddressKey(random);
  const named = { fqdn: peer.fqdn, createdAt: now };
  const keyForEdge = await createAddressKeyRecord(addressKey, named, peer, hub.identity);
  const keyForHub = await createAddressKeyRecord(addressKey, named, asRecipient(hub), hub.identity);
  const keysForPeers: ConfigurationChange[] = [];
  for (const { name, recipient } of options.peers ?? []) {
    const sealed = await createAddressKeyRecord(addressKey, named, recipient, hub.identity);
    keysForPeers.push({
      op: 'modifyRequest',
      dn: hubDn(name, site, base),
      changes: [{ kind: 'add', attribute: { type: 'posternSealedKey', values: [sealed] } }],
    });
  }
  addressKey.key.erase();
  if (file.password.kind === 'sealed') password.erase();

  const edge: SubscribedEdge = {
    name: peer.name,
    fqdn: peer.fqdn,
    port: file.port,
    pins: { current: subscription.pin },
    certificate: subscription.certificate.der,
    sealingKey,
    sealingKeyStatedAt: statedAt,
    subscriptionId: file.id,
    importedAt: now,
    addressKeyId: addressKey.id,
    accountNumber: number,
    passwordPolicy,
  };
  const changes: ConfigurationChange[] = [
    addTopologyObject(edgeDn(peer.name, site, base), 'posternEdgeServer', {
      name: peer.name,
      fqdn: peer.fqdn,
      port: file.port,
      certificates: [subscription.certificate.der],
      // Other hubs of the site, now or later, trust the edge by this hub's word.
      statements: [statement, endorsement(hub, 'edge', peer, now)],
      credentials: [issued.recordForEdge],
      sealedKeys: [keyForEdge],
    }),
    {
      op: 'modifyRequest',
      dn: hubDn(hub.name, site, base),
      changes: [
        { kind: 'add', attribute: { type: 'posternCredential', values: [issued.recordForHub, bootstrap] } },
        { kind: 'add', attribute: { type: 'posternSealedKey', values: [keyForHub] } },
      ],
    },
    ...keysForPeers,
  ];
  return {
    subscription,
    edge,
    changes,
    trust: (draft) => {
      // Two imports at once: the second one loses here, before anything is written.
      checkImport({ ...options, trust: draft });
      return withUsed({ ...draft, edges: { ...draft.edges, [key]: edge } }, file.id, peer.name, now);
    },
    undo: (draft) => {
      const { [key]: _undone, ...edges } = draft.edges;
      // What was written may stand there all the same, when only its answer was lost.
      return {
        ...draft,
        edges,
        retiredNumbers: { ...draft.retiredNumbers, [key]: number },
        usedSubscriptions: draft.usedSubscriptions.filter((one) => one.id !== file.id),
      };
    },
    userName: issued.userName,
    expiresAt: issued.expiresAt,
    warnings: subscription.warnings,
  };
}

/** The sealing key of the edge: from the file's statement or, for an unsigned file, from what the trial session was told. */
function sealingOf(
  subscription: ValidatedSubscription,
  options: ImportOptions,
): { sealingKey: Buffer; statement: Buffer; statedAt: number } {
  const { file, pin } = subscription;
  if (!file.signed && options.provenByBind === undefined) {
    throw new PosternError('refused', 'the file is not signed, and was not tried by a bind', {
      hint: 'the edge must be reachable while an unsigned file is imported',
    });
  }
  const bytes = file.sealingStatement ?? options.provenByBind?.sealingStatement;
  if (bytes === undefined) {
    throw new PosternError(
      'refused',
      'the edge of this file states no sealing key: nothing secret can be handed to it',
      {
        hint: 'make the file with "postern subscription create" on the edge',
      },
    );
  }
  const statement = verifyClaim(bytes, pin, 'sealingKey', file.edgeFqdn);
  return {
    sealingKey: statement.claim.publicKey,
    statement: Buffer.from(bytes),
    statedAt: statement.issuedAt,
  };
}

function duplicate(message: string, hint: string): PosternError {
  return new PosternError('subscription.duplicate', message, { hint });
}

/** After the first bind with an ESRA that the edge accepted without reserve: the bootstrap record has done its work and goes from this hub's object. */
export function establishedChanges(
  edgeName: string,
  own: { readonly credentials: readonly Buffer[] },
  place: { readonly hub: string; readonly site: string; readonly base?: string | undefined },
): ConfigurationChange[] {
  const used = own.credentials.filter((bytes) => isFor(bytes, edgeName, 'bootstrap'));
  return deleteValues(hubDn(place.hub, place.site, place.base), { posternCredential: used });
}

export function withEstablished(state: HubTrustState, edgeName: string, now: number): HubTrustState {
  const edge = findEdge(state, edgeName);
  if (edge === undefined || edge.establishedAt !== undefined) return state;
  return { ...state, edges: { ...state.edges, [nameKey(edgeName)]: { ...edge, establishedAt: now } } };
}

export interface RemovalPlan {
  readonly changes: readonly ConfigurationChange[];
  readonly trust: (draft: HubTrustState) => HubTrustState;
}

/**
 * Ends the subscription of an edge on this hub: the edge's object goes, and from this hub's own object everything that is for that edge. Works with or
 * without the one or the other, so that a broken half can be removed. Throws `subscription.unknown` when there is neither.
 */
export function prepareRemoval(
  edgeName: string,
  facts: {
    readonly trust: HubTrustState;
    readonly edgePresent: boolean;
    /** Last account number of the pair, if renewals have gone beyond that of the trust store. */
    readonly lastNumber?: number | undefined;
    /** Values of this hub's own object. */
    readonly own: { readonly credentials: readonly Buffer[]; readonly sealedKeys: readonly Buffer[] };
    readonly hub: string;
    readonly site: string;
    readonly base?: string | undefined;
  },
): RemovalPlan {
  const edge = findEdge(facts.trust, edgeName);
  if (edge === undefined && !facts.edgePresent) {
    throw new PosternError('subscription.unknown', `no edge ${edgeName} is subscribed`, {
      hint: 'postern subscription list names those that are',
    });
  }
  const key = nameKey(edgeName);
  const credentials = facts.own.credentials.filter((bytes) => isFor(bytes, edgeName));
  const sealedKeys = facts.own.sealedKeys.filter((bytes) => edge !== undefined && isKeyOf(bytes, edge.fqdn));
  const changes: ConfigurationChange[] = deleteValues(hubDn(facts.hub, facts.site, facts.base), {
    posternCredential: credentials,
    posternSealedKey: sealedKeys,
  });
  if (facts.edgePresent)
    changes.push({ op: 'deleteRequest', dn: edgeDn(edge?.name ?? edgeName, facts.site, facts.base) });
  return {
    changes,
    trust: (draft) => {
      const { [key]: removed, ...edges } = draft.edges;
      const retiredNumbers =
        removed === undefined
          ? draft.retiredNumbers
          : {
              ...draft.retiredNumbers,
              [key]: Math.max(removed.accountNumber, facts.lastNumber ?? 0),
            };
      return { ...draft, edges, retiredNumbers };
    },
  };
}

function deleteValues(
  dn: string,
  values: Readonly<Record<string, readonly Buffer[]>>,
): ConfigurationChange[] {
  const changes = Object.entries(values).flatMap(([type, gone]) =>
    gone.length === 0 ? [] : [{ kind: 'delete' as const, attribute: { type, values: gone } }],
  );
  return changes.length === 0 ? [] : [{ op: 'modifyRequest', dn, changes }];
}

function isFor(bytes: Buffer, edgeName: string, kind?: 'bootstrap'): boolean {
  const account = unlessUnreadable(() => decodeCredentialRecord(bytes).account);
  return (
    account !== undefined && sameName(account.edge, edgeName) && (kind === undefined || account.kind === kind)
  );
}

function isKeyOf(bytes: Buffer, fqdn: string): boolean {
  return unlessUnreadable(() => decodeAddressKeyRecord(bytes).edgeFqdn) === fqdn;
}

function unlessUnreadable<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof PosternError) return undefined;
    throw error;
  }
}
