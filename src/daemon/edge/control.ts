/** Routes of the edge's control socket; `docs/commands.md` names the commands behind them. */
import type { Hono } from 'hono';
import { z } from 'zod';
import type { Clock } from '../../base/clock.ts';
import type { Log } from '../../base/log.ts';
import { PosternError } from '../../base/error.ts';
import type { Random } from '../../base/random.ts';
import { formatFingerprint } from '../../certificate/pin.ts';
import type { TrustStore } from '../../certificate/trust-store.ts';
import { createSubscription, type EdgeDescription } from '../../subscription/edge-subscription.ts';
import { readSubscriptionFile } from '../../subscription/file-reader.ts';
import { readHubPublic } from '../../subscription/hub-public.ts';
import { viewSubscription } from '../../subscription/inspect.ts';
import type { EdgeTrustState } from '../../subscription/trust-state.ts';
import type { EdgeStatus } from '../../admin/documents.ts';
import { parseBody } from '../route-body.ts';
import type { Lookups } from './lookups.ts';

export interface ControlOptions {
  readonly trust: TrustStore<EdgeTrustState>;
  readonly edge: EdgeDescription;
  readonly lookups: Lookups;
  readonly status: () => Promise<EdgeStatus>;
  readonly remove: (keepData: boolean) => Promise<string>;
  readonly onAccountsChanged: () => Promise<void>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

const createBody = z.strictObject({
  path: z.string().optional(),
  ttlMs: z.number().optional(),
  hubKey: z.string().max(65_536).optional(),
});

/** Some milliseconds of work: lookups of mail servers come between. */
const lookupsBody = z.strictObject({ addresses: z.array(z.string().max(4096)).max(1000) });

export function edgeRoutes(app: Hono, options: ControlOptions): void {
  const { trust, edge, clock } = options;

  app.get('/v1/status', async (context) => context.json(await options.status()));

  app.get('/v1/lookup', (context) => {
    const address = context.req.query('address');
    if (address === undefined)
      throw new PosternError('usage', 'which address?', { hint: 'postern lookup ADDRESS' });
    return context.json(options.lookups.explain(address));
  });

  app.post('/v1/lookups', async (context) => {
    const { addresses } = await parseBody(context, lookupsBody);
    return context.json(addresses.map((address) => options.lookups.explain(address)));
  });

  app.post('/v1/subscription', async (context) => {
    const body = await parseBody(context, createBody);
    const sealTo = body.hubKey === undefined ? undefined : readHubPublic(Buffer.from(body.hubKey));
    const created = await createSubscription(
      { ...options, store: trust },
      { ttlMs: body.ttlMs, sealTo, path: body.path },
    );
    await options.onAccountsChanged();
    const view = viewSubscription(readSubscriptionFile(created.bytes), clock.now());
    return context.json({ text: created.bytes.toString('utf8'), view, superseded: created.superseded });
  });

  app.get('/v1/subscription', (context) => {
    const { hubs, accounts, subscription } = trust.value;
    return context.json({
      edge: edge.name,
      fqdn: edge.fqdn,
      fingerprint: formatFingerprint(edge.identity.pin),
      hubs: Object.values(hubs).map(
        (hub) => `${hub.name} (${hub.fqdn}), key ${formatFingerprint(hub.pins.current)}`,
      ),
      accounts: accounts.map((account) => account.name),
      ...(subscription === undefined
        ? {}
        : { openFile: subscription.path ?? 'made, place unknown', expires: subscription.expiresAt }),
    });
  });

  app.delete('/v1/subscription', async (context) => {
    const note = await options.remove(context.req.query('keepData') === 'true');
    return context.json({ removed: edge.name, note });
  });
}
