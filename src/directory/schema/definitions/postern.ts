/**
 * Postern's own schema; `docs/architecture.md` says where each thing stands. Times are GeneralizedTime, ages and remaining
 * times are seconds.
 */
import { POSTERN_ATTRIBUTE as A, POSTERN_OBJECT_CLASS as C } from '../../../ldap/postern-oid.ts';

const OCTETS = 'EQUALITY octetStringMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.40';
const NAME =
  'EQUALITY caseIgnoreIA5Match SUBSTR caseIgnoreIA5SubstringsMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.26';
const TEXT = 'EQUALITY caseExactMatch SUBSTR caseExactSubstringsMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15';
const INTEGER = 'EQUALITY integerMatch ORDERING integerOrderingMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.27';
const BOOLEAN = 'EQUALITY booleanMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.7';
const TIME =
  'EQUALITY generalizedTimeMatch ORDERING generalizedTimeOrderingMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.24';
/** Hashes: the asserted address is normalised and hashed before it is compared. */
const ADDRESS = 'EQUALITY posternAddressMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.40{16}';
const ONE = 'SINGLE-VALUE';

export const POSTERN_SCHEMA = `
attributetype ( ${A.posternFqdn} NAME 'posternFqdn' DESC 'fully qualified name of a hub or an edge' ${NAME} ${ONE} )
attributetype ( ${A.posternCertificate} NAME 'posternCertificate' DESC 'certificate, DER' ${OCTETS} )
attributetype ( ${A.posternStatement} NAME 'posternStatement' DESC 'statement signed by a pinned key' ${OCTETS} )
attributetype ( ${A.posternCredential} NAME 'posternCredential' DESC 'sealed credential record' ${OCTETS} )
attributetype ( ${A.posternDomainKind} NAME 'posternDomainKind' DESC 'authoritative, internalRelay or externalRelay' ${NAME} ${ONE} )
attributetype ( ${A.posternCatchAll} NAME 'posternCatchAll' DESC 'every address of the domain is known' ${BOOLEAN} ${ONE} )
attributetype ( ${A.posternRecipientDelimiter} NAME 'posternRecipientDelimiter' DESC 'characters that begin an address extension' ${TEXT} ${ONE} )
attributetype ( ${A.posternMaxAge} NAME 'posternMaxAge' DESC 'seconds that data without confirmation by its source is relied on' ${INTEGER} ${ONE} )
attributetype ( ${A.posternAddress} NAME 'posternAddress' DESC 'hashed address' ${ADDRESS} )
attributetype ( ${A.posternRecipientKind} NAME 'posternRecipientKind' ${NAME} ${ONE} )
attributetype ( ${A.posternPendingDelete} NAME 'posternPendingDelete' DESC 'when the source stopped naming this entry' ${TIME} ${ONE} )
attributetype ( ${A.posternPendingAddress} NAME 'posternPendingAddress' DESC 'hashed address that the source stopped naming' ${ADDRESS} )
attributetype ( ${A.posternEffectiveTime} NAME 'posternEffectiveTime' ${TIME} ${ONE} )
attributetype ( ${A.posternExpirationTime} NAME 'posternExpirationTime' ${TIME} ${ONE} )
attributetype ( ${A.posternAccountState} NAME 'posternAccountState' ${NAME} ${ONE} )
attributetype ( ${A.posternLeaseState} NAME 'posternLeaseState' DESC 'free, held, orphaned or expired' ${NAME} ${ONE} )
attributetype ( ${A.posternLeaseEpoch} NAME 'posternLeaseEpoch' ${INTEGER} ${ONE} )
attributetype ( ${A.posternLeaseHolder} NAME 'posternLeaseHolder' ${NAME} ${ONE} )
attributetype ( ${A.posternLeaseExpiry} NAME 'posternLeaseExpiry' ${TIME} ${ONE} )
attributetype ( ${A.posternCookie} NAME 'posternCookie' DESC 'position in the source that the data stand for' ${OCTETS} ${ONE} )
attributetype ( ${A.posternContentDigest} NAME 'posternContentDigest' DESC 'what the hub believes the digest to be' ${OCTETS} ${ONE} )
attributetype ( ${A.posternEntryCount} NAME 'posternEntryCount' ${INTEGER} ${ONE} )
attributetype ( ${A.posternLoadState} NAME 'posternLoadState' DESC 'none, loading or complete' ${NAME} ${ONE} )
attributetype ( ${A.posternLastConfirmed} NAME 'posternLastConfirmed' DESC 'when the source last confirmed the data' ${TIME} ${ONE} )
attributetype ( ${A.posternMappingVersion} NAME 'posternMappingVersion' ${TEXT} ${ONE} )
attributetype ( ${A.posternSyncEpoch} NAME 'posternSyncEpoch' ${INTEGER} ${ONE} )
attributetype ( ${A.posternResult} NAME 'posternResult' DESC 'OK: the entry exists; all that a mail server needs to know' ${NAME} ${ONE} NO-USER-MODIFICATION USAGE directoryOperation )
attributetype ( ${A.posternSealedKey} NAME 'posternSealedKey' DESC 'sealed key of the address hashes' ${OCTETS} )
attributetype ( ${A.posternPlannedRemovals} NAME 'posternPlannedRemovals' DESC 'removals that the hub is about to make in this pass' ${INTEGER} ${ONE} )
attributetype ( ${A.posternKept} NAME 'posternKept' DESC 'when an administrator rejected the removal' ${TIME} ${ONE} )
attributetype ( ${A.posternPort} NAME 'posternPort' ${INTEGER} ${ONE} )
attributetype ( ${A.currentTime} NAME 'currentTime' DESC 'the clock of this server' ${TIME} ${ONE} NO-USER-MODIFICATION USAGE dSAOperation )
objectclass ( ${C.posternContainer} NAME 'posternContainer' SUP top STRUCTURAL MUST cn MAY description )
objectclass ( ${C.posternEdge} NAME 'posternEdge' DESC 'this edge' SUP top STRUCTURAL MUST cn MAY ( posternFqdn $ posternPort $ posternCertificate $ posternStatement $ posternSealedKey $ description ) )
objectclass ( ${C.posternHub} NAME 'posternHub' SUP top STRUCTURAL MUST ( cn $ posternFqdn ) MAY ( posternPort $ posternCertificate $ posternStatement $ posternCredential $ posternSealedKey $ description ) )
objectclass ( ${C.posternEdgeServer} NAME 'posternEdgeServer' SUP top STRUCTURAL MUST ( cn $ posternFqdn ) MAY ( posternPort $ posternCertificate $ posternStatement $ posternCredential $ posternSealedKey $ description ) )
objectclass ( ${C.posternAcceptedDomain} NAME 'posternAcceptedDomain' SUP top STRUCTURAL MUST ( cn $ posternDomainKind ) MAY ( posternCatchAll $ posternRecipientDelimiter $ posternMaxAge $ posternPendingDelete $ posternKept $ description ) )
objectclass ( ${C.posternRecipient} NAME 'posternRecipient' SUP top STRUCTURAL MUST cn MAY ( posternAddress $ posternRecipientKind $ posternPendingDelete $ posternPendingAddress $ posternKept ) )
objectclass ( ${C.posternAccount} NAME 'posternAccount' DESC 'never a password' SUP top STRUCTURAL MUST cn MAY ( posternEffectiveTime $ posternExpirationTime $ posternAccountState $ description ) )
objectclass ( ${C.posternLease} NAME 'posternLease' SUP top STRUCTURAL MUST cn MAY ( posternLeaseState $ posternLeaseEpoch $ posternLeaseHolder $ posternLeaseExpiry ) )
objectclass ( ${C.posternSyncState} NAME 'posternSyncState' SUP top STRUCTURAL MUST cn MAY ( posternCookie $ posternContentDigest $ posternEntryCount $ posternLoadState $ posternLastConfirmed $ posternMappingVersion $ posternSyncEpoch $ posternPlannedRemovals ) )
`;
