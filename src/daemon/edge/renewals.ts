/**
 * What hubs ask about the life of their own credentials: handing over a record by a request that both pinned keys prove, deleting an account of
 * their pair, ending the pair. Proofs are judged here, the rest is decided in `credential/lifecycle/`.
 */
import { type Clock, yieldToLoop } from '../../base/clock.ts';
import { isPosternError } from '../../base/error.ts';
import type { Log } from '../../base/log.ts';
import { parseCertificate } from '../../certificate/parse.ts';
import type { TrustStore } from '../../certificate/trust-store.ts';
import { nameKey } from '../../credential/account-name.ts';
import { hubByPin } from '../../credential/bind.ts';
import type { AdmittedHub } from '../../credential/credential-state.ts';
import { type AccountSecret, pairOf } from '../../credential/edge-pairs.ts';
import { openRecord, readRecord, recordEvent } from '../../credential/judge-record.ts';
import type { PairKeeper } from '../../credential/pair-keeper.ts';
import {
  decodeInstall,
  decodeRetire,
  encodeInstallVerdict,
  INSTALL_EXPORTER,
  type InstallVerdict,
  type SignedInstall,
  verifyInstall,
} from '../../credential/renewal-messages.ts';
import type { CredentialRecord } from '../../credential/record.ts';
import { type ExtendedReply, refuse, type Session, SUCCESS } from '../../directory/directory.ts';
import { TokenBucket } from '../../ldap/server-limits.ts';
import type { EdgeTrustState } from '../../subscription/trust-state.ts';
import { ROLE } from './access.ts';
import { peerPin, sessionAccount } from './authenticate.ts';
import type { CredentialKeys } from './credentials.ts';

/** Of one hub: a signature, an opened seal and a write of the trust store each. */
export const INSTALL_REQUESTS = { atOnce: 10, perSecond: 0.1 } as const;
const FOR_HUBS = 'for hubs only';

export interface RenewalsOptions {
  readonly trust: TrustStore<EdgeTrustState>;
  readonly pairs: PairKeeper<EdgeTrustState>;
  readonly keys: CredentialKeys;
  /** Resolves when credentials that arrived earlier have been dealt with. */
  readonly credentialsSettled: () => Promise<void>;
  readonly clock: Clock;
  readonly log: Log;
}

export class Renewals {
  readonly #options: RenewalsOptions;
  readonly #buckets = new Map<string, TokenBucket>();

  constructor(options: RenewalsOptions) {
    this.#options = options;
  }

  /** The hub whose pinned key this connection's client has proved; nobody else is even told that the operations exist. */
  pinnedHub(session: Session): AdmittedHub | undefined {
    const pin = peerPin(session.connection);
    return pin === undefined ? undefined : hubByPin(this.#options.trust.value, pin);
  }

  async install(value: Buffer | undefined, session: Session): Promise<ExtendedReply> {
    const { pairs, keys, log, trust } = this.#options;
    const hub = this.pinnedHub(session);
    if (hub === undefined) return refuse('insufficientAccessRights', FOR_HUBS);
    if (!this.#mayAsk(hub)) refuse('busy', 'too many credentials are handed over');
    const install = decodeInstall(value);
    if (!isSigned(install, session)) {
      log.warn('a credential was handed over without a good signature', {
        hub: hub.name,
        from: session.connection.remoteAddress,
      });
      return refuse('invalidCredentials');
    }
    await this.#options.credentialsSettled();
    const reading = readRecord(install.record, keys.edge(), trust.value.hubs);
    if (reading.verdict === 'refused') return unusable(`${reading.code}: ${reading.reason}`);
    const { record, number } = reading;
    if (nameKey(reading.hub.name) !== nameKey(hub.name))
      return unusable('credential.invalid: it is of another hub');
    const made = await this.#open(record, hub);
    const { window, recordId } = recordEvent(record, number);
    const { instance } = install;
    const bound = sessionAccount(session)?.esra?.number;
    const actions = await pairs.handle(
      hub.name,
      { type: 'install', number, window, recordId, session: bound, instance },
      made,
    );
    const done = actions.find(({ type }) => type === 'installed');
    const refused = actions.find(({ type }) => type === 'install-refused');
    const highest = pairOf(trust.value, hub.name).highest;
    const verdict: InstallVerdict =
      done?.type === 'installed'
        ? { outcome: done.counted ? 'recovered' : 'installed', highest }
        : refused?.type === 'install-refused'
          ? { outcome: refused.code, highest: refused.highest }
          : { outcome: 'not-admitted', highest };
    log.info('a hub handed a credential over', {
      hub: hub.name,
      account: record.userName,
      outcome: verdict.outcome,
      call: install.counter,
    });
    return { result: SUCCESS, value: encodeInstallVerdict(verdict) };
  }

  async retire(value: Buffer | undefined, session: Session): Promise<ExtendedReply> {
    const { pairs, trust } = this.#options;
    const account = sessionAccount(session);
    const { role } = session.identity;
    if (account?.esra === undefined || (role !== ROLE.hub && role !== ROLE.restored))
      return refuse('insufficientAccessRights', FOR_HUBS);
    const request = decodeRetire(value);
    if (request.action === 'leave') {
      await pairs.handle(account.hub, { type: 'end' });
      return { result: SUCCESS };
    }
    if (role !== ROLE.hub) return refuse('insufficientAccessRights', 'fresh keys first');
    await pairs.handle(account.hub, {
      type: 'delete',
      number: request.number,
      session: account.esra.number,
    });
    const left = pairOf(trust.value, account.hub).accounts.some(({ number }) => number === request.number);
    return left ? refuse('unwillingToPerform', 'this session may not delete it') : { result: SUCCESS };
  }

  async #open(record: CredentialRecord, hub: AdmittedHub): Promise<AccountSecret> {
    // A turn for others before each.
    await yieldToLoop();
    try {
      return await openRecord(record, hub, this.#options.keys);
    } catch (error) {
      if (!isPosternError(error)) throw error;
      return unusable(`${error.code}: ${error.message}`);
    }
  }

  #mayAsk({ name }: AdmittedHub): boolean {
    const now = this.#options.clock.monotonic();
    const key = nameKey(name);
    let bucket = this.#buckets.get(key);
    if (bucket === undefined) {
      bucket = new TokenBucket(INSTALL_REQUESTS.perSecond, now, INSTALL_REQUESTS.atOnce);
      this.#buckets.set(key, bucket);
    }
    return bucket.take(now);
  }
}

function isSigned(install: SignedInstall, { connection }: Session): boolean {
  const exporter = connection.exportKeyingMaterial?.(INSTALL_EXPORTER.length, INSTALL_EXPORTER.label);
  if (exporter === undefined || connection.peerCertificate === undefined) return false;
  return verifyInstall(install, exporter, parseCertificate(connection.peerCertificate).publicKey);
}

function unusable(why: string): never {
  return refuse('unwillingToPerform', why);
}
