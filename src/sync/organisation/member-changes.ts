/** What the members of a site write into the configuration directory is made of. */
import { isPosternError } from '../../base/error.ts';
import { sameName } from '../../credential/account-name.ts';
import { decodeCredentialRecord } from '../../credential/record.ts';
import type { Attribute, ModifyRequest } from '../../ldap/message.ts';

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
