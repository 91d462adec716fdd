/** Routes of the edge's control socket for `credential list|resolve|revoke` and `subscription recover`. */
import type { Hono } from 'hono';
import { z } from 'zod';
import type { Clock } from '../../base/clock.ts';
import { PosternError } from '../../base/error.ts';
import type { Log } from '../../base/log.ts';
import type { TrustStore } from '../../certificate/trust-store.ts';
import { parseAccountName } from '../../credential/account-name.ts';
import { type AdmittedHub, findAccount, findHub } from '../../credential/credential-state.ts';
import { pairOf, withoutHub } from '../../credential/edge-pairs.ts';
import type { PairKeeper } from '../../credential/pair-keeper.ts';
import type { EdgeTrustState } from '../../subscription/trust-state.ts';
import { parseBody } from '../route-body.ts';
import { credentialsDocument } from './pair-status.ts';

export interface CredentialRoutesOptions {
  readonly trust: TrustStore<EdgeTrustState>;
  readonly pairs: PairKeeper<EdgeTrustState>;
  readonly edgeName: string;
  readonly clock: Pick<Clock, 'now'>;
  readonly log: Log;
  /** Shows the accounts, and ends sessions of those that are gone. */
  readonly onAccountsChanged: () => Promise<void>;
}

const hubBody = z.strictObject({ hub: z.string().max(100).optional() });
const nameBody = z.strictObject({ name: z.string().max(200) });

export function credentialRoutes(app: Hono, options: CredentialRoutesOptions): void {
  const { trust, pairs, edgeName, clock, log } = options;

  app.get('/v1/credentials', (context) => {
    const heard = (hub: string): number | undefined => pairs.lastHeard(hub);
    return context.json(credentialsDocument(edgeName, trust.value, pairs.timings, clock.now(), heard));
  });

  app.post('/v1/credentials/resolve', async (context) => {
    const body = await parseBody(context, hubBody);
    const isSuspended = (hub: AdmittedHub): boolean => pairOf(trust.value, hub.name).phase === 'suspended';
    const hub = chosen(trust.value, body.hub, isSuspended, 'is suspended');
    await pairs.handle(hub, { type: 'resolve' });
    log.info('two instances resolved', { hub });
    return context.json({
      hub,
      note: 'whichever instance calls next is the one that counts, and gets fresh keys',
    });
  });

  app.post('/v1/credentials/revoke', async (context) => {
    const { name } = await parseBody(context, nameBody);
    const hub = findHub(trust.value.hubs, name);
    if (hub !== undefined) {
      await trust.update((draft) => withoutHub(draft, findHub(draft.hubs, name) ?? hub, clock.now()));
      await options.onAccountsChanged();
      log.info('hub revoked', { hub: hub.name });
      return context.json({
        revoked: hub.name,
        note: 'it and its accounts are gone; a new subscription file of this edge lets it in again, or a hub of the site that endorses it from now on',
      });
    }
    const parsed = parseAccountName(name);
    const account = parsed?.kind === 'esra' ? findAccount(trust.value.accounts, name) : undefined;
    if (parsed?.kind !== 'esra' || account === undefined)
      throw new PosternError(
        'not-found',
        `there is neither a hub nor a replication account "${name.slice(0, 80)}"`,
        {
          hint: 'postern credential list',
        },
      );
    await pairs.handle(parsed.hub, { type: 'revoke', number: parsed.number });
    log.info('account revoked', { account: account.name });
    const rest = pairOf(trust.value, parsed.hub).accounts.length;
    return context.json({
      revoked: account.name,
      note:
        rest > 0
          ? 'its hub goes on with another account, and makes a new one by itself'
          : 'its hub recovers by its pinned key; to shut the hub out, revoke the hub by its name',
    });
  });

  app.post('/v1/subscription/recover', async (context) => {
    const body = await parseBody(context, hubBody);
    const isActive = (hub: AdmittedHub): boolean => pairOf(trust.value, hub.name).phase === 'active';
    const hub = chosen(trust.value, body.hub, isActive, 'can recover');
    await pairs.handle(hub, { type: 'allow-recovery' });
    log.info('a recovery was allowed', { hub });
    return context.json({ hub, note: 'its next recovery is granted; it asks by itself, within minutes' });
  });
}

/** The hub that was named, or the only one that fits. */
function chosen(
  { hubs }: Pick<EdgeTrustState, 'hubs'>,
  name: string | undefined,
  fits: (hub: AdmittedHub) => boolean,
  what: string,
): string {
  if (name !== undefined) {
    const hub = findHub(hubs, name);
    if (hub === undefined)
      throw new PosternError('not-found', `there is no hub "${name.slice(0, 80)}" here`, {
        hint: `hubs of this edge: ${names(Object.values(hubs))}`,
      });
    if (!fits(hub)) throw new PosternError('refused', `hub ${hub.name}: it is not one that ${what}`);
    return hub.name;
  }
  const all = Object.values(hubs).filter(fits);
  const [only, ...others] = all;
  if (only === undefined) throw new PosternError('not-found', `there is no hub here that ${what}`);
  if (others.length > 0)
    throw new PosternError('usage', `more than one hub ${what}: ${names(all)}`, { hint: 'name one of them' });
  return only.name;
}

function names(hubs: readonly AdmittedHub[]): string {
  return hubs.map((hub) => hub.name).join(', ') || 'none';
}
