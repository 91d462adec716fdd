/** Who may do what in the edge directory. The default denies; `docs/architecture.md` explains the roles. */
import type { AccessPolicy } from '../../directory/directory.ts';

export const ROLE = {
  /** The mail server of this host: loopback or unix socket, without a bind. */
  localReader: 'localReader',
  /** The bootstrap account: topology and credentials, nothing else. */
  bootstrap: 'bootstrap',
  /** A hub by its ESRA and its pinned key. */
  hub: 'hub',
  /** Whoever may open what only the daemon's user may: the control socket, and the unix socket beside it. */
  administrator: 'administrator',
  /** A hub whose account is not effective yet: may only ask who it is. */
  waiting: 'waiting',
  /** A hub that runs on a restored backup: may only hand over fresh keys. */
  restored: 'restored',
} as const;

export const EDGE_ACCESS: AccessPolicy = {
  // Records are sealed, but nobody has any business reading them either.
  secrets: ['posternCredential', 'posternSealedKey'],
  rules: [
    {
      roles: [ROLE.localReader],
      subtree: 'cn=Recipients',
      attributes: ['objectClass', 'cn', 'posternResult', 'posternRecipientKind'],
      rights: ['search', 'compare', 'read'],
    },
    {
      roles: [ROLE.localReader],
      subtree: 'cn=Recipients',
      // The mail server asks by the first two names; what is stored, and asked, has the third.
      attributes: ['mail', 'proxyAddresses', 'posternAddress'],
      rights: ['search', 'compare'],
    },
    {
      roles: [ROLE.localReader],
      subtree: 'cn=AcceptedDomains,cn=Configuration',
      attributes: ['objectClass', 'cn', 'posternDomainKind', 'posternCatchAll'],
      rights: ['search', 'compare', 'read'],
    },
    {
      // What this edge says of itself: an import of an unsigned file asks for the sealing key.
      roles: [ROLE.bootstrap],
      subtree: 'cn=Configuration',
      scope: 'base',
      attributes: ['objectClass', 'cn', 'posternFqdn', 'posternStatement'],
      rights: ['search', 'compare', 'read'],
    },
    { roles: [ROLE.bootstrap], subtree: 'cn=Hubs,cn=Configuration', rights: ['search', 'compare', 'read'] },
    {
      roles: [ROLE.bootstrap],
      subtree: 'cn=Hubs,cn=Configuration',
      scope: 'children',
      rights: ['write', 'add', 'delete'],
      inTransaction: true,
    },
    { roles: [ROLE.bootstrap], subtree: 'cn=Edges,cn=Configuration', rights: ['search', 'compare', 'read'] },
    {
      roles: [ROLE.bootstrap],
      subtree: 'cn=Edges,cn=Configuration',
      scope: 'children',
      rights: ['write', 'add', 'delete'],
      inTransaction: true,
    },
    { roles: [ROLE.hub, ROLE.administrator], subtree: '', rights: ['search', 'compare', 'read'] },
    {
      roles: [ROLE.hub],
      subtree: 'cn=Hubs,cn=Configuration',
      scope: 'children',
      rights: ['write', 'add', 'delete'],
      inTransaction: true,
    },
    {
      roles: [ROLE.hub],
      subtree: 'cn=Edges,cn=Configuration',
      scope: 'children',
      rights: ['write', 'add', 'delete'],
      inTransaction: true,
    },
    {
      roles: [ROLE.hub],
      subtree: 'cn=AcceptedDomains,cn=Configuration',
      scope: 'children',
      rights: ['write', 'add', 'delete'],
      inTransaction: true,
    },
    {
      roles: [ROLE.hub],
      subtree: 'cn=Recipients',
      scope: 'children',
      rights: ['write', 'add', 'delete'],
      inTransaction: true,
    },
    { roles: [ROLE.hub], subtree: 'cn=Sync', scope: 'children', rights: ['write'], inTransaction: true },
  ],
};
