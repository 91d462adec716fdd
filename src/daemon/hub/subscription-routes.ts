/** Control routes for subscriptions: import, list, show, remove. */
import type { Hono } from 'hono';
import { z } from 'zod';
import type { SubscriptionDocument } from '../../admin/documents.ts';
import type { Clock } from '../../base/clock.ts';
import { PosternError } from '../../base/error.ts';
import type { Log } from '../../base/log.ts';
import type { Random } from '../../base/random.ts';
import { formatFingerprint, parsePin } from '../../certificate/pin.ts';
import type { TrustStore } from '../../certificate/trust-store.ts';
import type { HubNode } from '../../credential/issue.ts';
import { MOST_FILE_BYTES } from '../../subscription/file.ts';
import { readSubscriptionFile } from '../../subscription/file-reader.ts';
import { checkImport } from '../../subscription/import.ts';
import { findEdge, type HubTrustState, type SubscribedEdge } from '../../subscription/trust-state.ts';
import type { Organisation } from '../../sync/organisation/organisation.ts';
import type { Renewals } from '../../sync/renewal/renewals.ts';
import { parseBody } from '../route-body.ts';
import type { EdgeRegister } from './edge-facts.ts';
import type { Links } from './links.ts';
import { tryEdge } from './trial.ts';

export interface SubscriptionRoutesOptions {
  readonly organisation: Organisation;
  readonly trust: TrustStore<HubTrustState>;
  readonly hub: HubNode;
  readonly links: Links;
  readonly renewals: Renewals;
  readonly register: EdgeRegister;
  readonly lifetimeMs: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Aborted when the daemon stops. */
  readonly signal: AbortSignal;
}

/** An edge that does not answer holds no removal up. */
const TELL_WITHIN_MS = 5000;

const importBody = z.strictObject({
  file: z.base64().max(Math.ceil(MOST_FILE_BYTES / 3) * 4 + 4),
  expectFingerprint: z.string().max(200).optional(),
});

export function subscriptionRoutes(app: Hono, options: SubscriptionRoutesOptions): void {
  const { organisation, trust, links, register, log } = options;
  /** Imports and removals one after the other. */
  let turn: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const done = turn.then(work);
    turn = done.catch(() => undefined);
    return done;
  };

  app.post('/v1/subscriptions', async (context) => {
    const body = await parseBody(context, importBody);
    const expected = body.expectFingerprint === undefined ? undefined : parsePin(body.expectFingerprint);
    const bytes = Buffer.from(body.file, 'base64');
    const document = await inTurn(() => importFile(options, bytes, expected));
    return context.json(document);
  });

  app.get('/v1/subscriptions', (context) => {
    const edges = organisation.edges().sort((a, b) => (a.name < b.name ? -1 : 1));
    return context.json(edges.map((edge) => register.subscription(edge)));
  });

  app.get('/v1/subscriptions/:edge', (context) =>
    context.json(register.subscription(subscribed(trust, context.req.param('edge')))),
  );

  app.delete('/v1/subscriptions/:edge', async (context) => {
    const asked = context.req.param('edge');
    const name = findEdge(trust.value, asked)?.name ?? asked;
    const told = await inTurn(async () => {
      organisation.checkRemoval(name);
      await links.stop(name);
      return endSubscription(name, options);
    });
    links.poke();
    log.info('subscription removed', { edge: name });
    return context.json({
      removed: name,
      note: `This hub writes nothing to it any more${told ? ', and its accounts there are deleted' : '; its accounts there end by themselves'}. The edge keeps its data and goes on answering until "postern subscription remove" is run there, too.`,
    });
  });
}

/**
 * Tells the edge, then takes everything away that this hub has of it. That the pair ends is on the disk first: a removal that a kill has cut off is
 * finished at the next start. Returns whether the edge was told.
 */
export async function endSubscription(
  name: string,
  { organisation, renewals, trust }: Pick<SubscriptionRoutesOptions, 'organisation' | 'renewals' | 'trust'>,
): Promise<boolean> {
  const known = findEdge(trust.value, name) !== undefined;
  const told = known && (await renewals.end(name, TELL_WITHIN_MS));
  await organisation.removeSubscription(name);
  await renewals.forget(name);
  return told;
}

async function importFile(
  options: SubscriptionRoutesOptions,
  bytes: Buffer,
  expected: ReturnType<typeof parsePin> | undefined,
): Promise<SubscriptionDocument & { readonly warnings: readonly string[] }> {
  const { organisation, trust, hub, links, register, clock, random, log, signal, lifetimeMs } = options;
  const file = readSubscriptionFile(bytes);
  const common = {
    file,
    now: clock.now(),
    ...(expected === undefined ? {} : { expectFingerprint: expected }),
  };
  const valid = checkImport({
    ...common,
    hub,
    trust: trust.value,
    edgesPresent: await organisation.edgeNames(),
  });
  // Everything that the network can refuse is asked before anything is written.
  const provenByBind = await tryEdge(valid, { hub, clock, signal });
  const plan = await organisation.importSubscription({
    ...common,
    now: clock.now(),
    random,
    lifetimeMs,
    ...(provenByBind === undefined ? {} : { provenByBind }),
  });
  log.info('edge subscribed', {
    edge: plan.edge.name,
    address: `${plan.edge.fqdn}:${plan.edge.port}`,
    fingerprint: formatFingerprint(plan.edge.pins.current),
  });
  for (const warning of plan.warnings) log.warn(warning, { edge: plan.edge.name });
  links.poke();
  links.start(plan.edge.name);
  return {
    ...register.subscription(plan.edge),
    account: plan.userName,
    expires: plan.expiresAt,
    warnings: plan.warnings,
  };
}

function subscribed(trust: TrustStore<HubTrustState>, name: string): SubscribedEdge {
  const edge = findEdge(trust.value, name);
  if (edge !== undefined) return edge;
  throw new PosternError('subscription.unknown', `no edge ${name} is subscribed`, {
    hint: 'postern subscription list names those that are',
  });
}
