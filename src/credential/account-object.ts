/** Accounts as the edge directory shows them under cn=Accounts: names, windows and states, never a password or its digest. Pure. */
import { formatGeneralizedTime } from '../asn1/time.ts';
import type { AddRequest } from '../ldap/message.ts';
import type { Account } from './account.ts';

export const EDGE_DIRECTORY_ACCOUNTS = 'cn=Accounts';

export function accountObject(account: Account): AddRequest {
  const attributes = {
    objectClass: 'posternAccount',
    cn: account.name,
    posternEffectiveTime: formatGeneralizedTime(account.effectiveAt),
    posternExpirationTime: formatGeneralizedTime(account.expiresAt),
    posternAccountState: account.state,
  };
  return {
    op: 'addRequest',
    dn: `cn=${account.name},${EDGE_DIRECTORY_ACCOUNTS}`,
    attributes: Object.entries(attributes).map(([type, value]) => ({ type, values: [Buffer.from(value)] })),
  };
}
