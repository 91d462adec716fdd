/** A RecipientIndex in a Map, filled with addresses in clear; for tests of lookups. */
import { Secret } from '../../src/base/secret.ts';
import { normaliseDomain } from '../../src/directory/address/domain.ts';
import { type AddressHasher, createAddressHasher } from '../../src/directory/address/hasher.ts';
import type {
  DomainPolicy,
  LoadStatus,
  RecipientIndex,
  RecipientMatch,
} from '../../src/lookup/recipient-index.ts';

export class FakeRecipientIndex implements RecipientIndex {
  readonly hasher: AddressHasher = createAddressHasher(new Secret(Buffer.alloc(32, 7)));
  readonly domains = new Map<string, DomainPolicy>();
  readonly recipients = new Map<string, RecipientMatch>();
  domainsLoaded: LoadStatus;
  recipientsLoaded: LoadStatus;

  /** Complete, and confirmed at `confirmedMs`. */
  constructor(confirmedMs: number) {
    this.domainsLoaded = { loadState: 'complete', generation: 1, lastConfirmedMs: confirmedMs };
    this.recipientsLoaded = { loadState: 'complete', generation: 1, lastConfirmedMs: confirmedMs };
  }

  addDomain(name: string, policy: Partial<DomainPolicy> = {}): this {
    const canonical = normaliseDomain(name);
    if (canonical === undefined) throw new Error(`not a domain: ${name}`);
    this.domains.set(canonical, { kind: 'authoritative', ...policy });
    return this;
  }

  add(address: string, match: Partial<RecipientMatch> = {}): this {
    const hash = this.hasher.hashAddress(address);
    if (hash === undefined) throw new Error(`not an address: ${address}`);
    const guid = Buffer.alloc(16, this.recipients.size + 1);
    this.recipients.set(hash.toString('hex'), { guid, pendingDelete: false, ...match });
    return this;
  }

  remove(address: string): void {
    this.recipients.delete(this.hasher.hashAddress(address)?.toString('hex') ?? '');
  }

  domain(name: string): DomainPolicy | undefined {
    return this.domains.get(name);
  }

  find(hash: Buffer): RecipientMatch | undefined {
    return this.recipients.get(hash.toString('hex'));
  }

  domainStatus(): LoadStatus {
    return this.domainsLoaded;
  }

  recipientStatus(): LoadStatus {
    return this.recipientsLoaded;
  }
}
