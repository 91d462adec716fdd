/** What `postern cert` says, as plain data. Fields are only ever added. Times are milliseconds since 1970 by the daemon's clock. */
export interface OwnCertificate {
  /** `present`: it is shown; `next`: it is announced; `former`: its key is kept until every peer has accepted the present one. */
  readonly use: 'present' | 'next' | 'former';
  readonly fingerprint: string;
  readonly names: readonly string[];
  /** "ECDSA-P256-SHA256", ... */
  readonly algorithm: string;
  readonly notBefore: number;
  readonly notAfter: number;
  /** `own`: made here, and followed by the next one unattended; `brought`: by "cert use"; `configured`: named in the configuration. */
  readonly origin: 'own' | 'brought' | 'configured';
}

export interface PeerCertificate {
  readonly name: string;
  readonly role: 'edge' | 'hub';
  /** Of the key that counts; during a rollover of the peer also of the next one. */
  readonly fingerprint: string;
  readonly next?: string;
  /** End of the certificate that the peer shows; undefined when it is not known. */
  readonly notAfter: number | undefined;
}

export interface CertificateDocument {
  readonly version: 1;
  readonly role: 'edge' | 'hub';
  readonly name: string;
  readonly now: number;
  readonly certificates: readonly OwnCertificate[];
  readonly phase: 'steady' | 'announced' | 'switched';
  readonly since: number | undefined;
  /** When the phase ends at the latest. */
  readonly until: number | undefined;
  readonly waitingFor: readonly string[];
  /** When the next certificate is made; undefined when it has to be brought. */
  readonly renewsAt: number | undefined;
  /** Certificates that end before this moment want to be renewed. */
  readonly renewBeforeMs: number;
  /** Why the certificate that the configuration names is not used. */
  readonly unusable: string | undefined;
  readonly peers: readonly PeerCertificate[];
  /** Objects in the configuration directory that show a key to which nothing that the node said leads: somebody wrote it there. */
  readonly unproved: readonly {
    readonly role: 'edge' | 'hub';
    readonly name: string;
    readonly fingerprint: string;
  }[];
}
