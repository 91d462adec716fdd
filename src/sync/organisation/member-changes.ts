/** What the members of a site write into the configuration directory is made of. */
import { isPosternError } from '../../base/error.ts';
import { sameName } from '../../credential/account-name.ts';
import { decodeCredentialRecord } from '../../credential/record.ts';
import type { Attribute, ModifyRequest } from '../../ldap/message.ts';

/** A record of a credential of this hub. Whatever cannot be read is none. */
export function isOfHub(record: Uint8Array, hubName: string): boolean {
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
