/** What the members of a site write is made of: changes of the configuration directory, and an edge that is taken on. */
import { isPosternError, PosternError } from '../../base/error.ts';
import { sameName } from '../../credential/account-name.ts';
import { DEFAULT_PASSWORD_POLICY } from '../../credential/password.ts';
import { decodeCredentialRecord } from '../../credential/record.ts';
import type { Attribute, ModifyRequest } from '../../ldap/message.ts';
import type { Claimant, recipientOf } from '../../subscription/membership.ts';
import type { SubscribedEdge } from '../../subscription/trust-state.ts';

/** Takes the credentials of a hub from the object of an edge; nothing when it has none there. */
export function withoutHub(dn: string, credentials: readonly Buffer[], hubName: string): ModifyRequest[] {
  const values = credentials.filter((bytes) => isOfHub(bytes, hubName));
  if (values.length === 0) return [];
  const attribute: Attribute = { type: 'posternCredential', values };
  return [{ op: 'modifyRequest', dn, changes: [{ kind: 'delete', attribute }] }];
}

/** A record of a credential of this hub. Whatever cannot be read is none. */
function isOfHub(record: Uint8Array, hubName: string): boolean {
  try {
    const { account } = decodeCredentialRecord(record);
    return account.kind === 'esra' && sameName(account.hub, hubName);
  } catch (error) {
    if (isPosternError(error)) return false;
    throw error;
  }
}

export function adding(dn: string, type: string, values: readonly Buffer[]): ModifyRequest {
  const attribute: Attribute = { type, values: [...values] };
  return { op: 'modifyRequest', dn, changes: [{ kind: 'add', attribute }] };
}

/** An edge that another hub has imported, as this one remembers it. */
export function takenOn(
  { object, pin }: Claimant,
  { sealingKey, statedAt }: ReturnType<typeof recipientOf>,
  { number, keyId, now }: { readonly number: number; readonly keyId: string; readonly now: number },
): SubscribedEdge {
  return {
    name: object.name,
    fqdn: object.fqdn,
    port: object.port ?? 50636,
    pins: { current: pin },
    certificate: Buffer.from(object.certificates[0] ?? []),
    sealingKey: Buffer.from(sealingKey),
    sealingKeyStatedAt: statedAt,
    subscriptionId: '',
    importedAt: now,
    addressKeyId: keyId,
    accountNumber: number,
    passwordPolicy: DEFAULT_PASSWORD_POLICY,
  };
}

/** Throws `refused` where no other hub can be. */
export function requireShared(shared: boolean): void {
  if (shared) return;
  throw new PosternError(
    'refused',
    'this hub has a configuration directory of its own: no other hub sees it',
    {
      hint: 'name an LDAP server that both hubs use in the table [configuration] of hub.toml (docs/configuration-directory.md)',
    },
  );
}
