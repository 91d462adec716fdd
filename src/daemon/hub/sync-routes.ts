/** Control routes that drive the synchronisation: run, verify, approve, reject. */
import type { Hono } from 'hono';
import { streamText } from 'hono/streaming';
import { z } from 'zod';
import type { Clock } from '../../base/clock.ts';
import { describeError, PosternError } from '../../base/error.ts';
import type { Log } from '../../base/log.ts';
import type { SourceFollower } from '../../sync/follow.ts';
import type { Organisation } from '../../sync/organisation/organisation.ts';
import type { MirrorView } from '../../sync/push/mirror-view.ts';
import { parseBody } from '../route-body.ts';
import { connected, type EdgeRegister } from './edge-facts.ts';
import type { Links } from './links.ts';
import { runSync } from './sync-run.ts';
import { verifyEdge } from './verify.ts';

export interface SyncRoutesOptions {
  readonly organisation: Organisation;
  readonly links: Links;
  readonly register: EdgeRegister;
  /** Both undefined: no source is configured. */
  readonly follower: SourceFollower | undefined;
  readonly mirror: MirrorView | undefined;
  readonly clock: Clock;
  readonly log: Log;
  /** Aborted when the daemon stops. */
  readonly signal: AbortSignal;
}

const edge = z.string().max(63).optional();
const runBody = z.strictObject({ edge, full: z.boolean().default(false) });
const verifyBody = z.strictObject({
  edge,
  source: z.boolean().default(false),
  maxReport: z.int().min(0).max(1_000_000).default(1000),
  address: z.string().max(2000).optional(),
});
const decideBody = z.strictObject({ edge });

export function syncRoutes(app: Hono, options: SyncRoutesOptions): void {
  const { organisation, links, register, follower, mirror, clock, log } = options;

  app.post('/v1/sync/run', async (context) => {
    const body = await parseBody(context, runBody);
    const chosen = links.chosen(body.edge);
    return streamText(
      context,
      async (stream) => {
        const gone = new AbortController();
        stream.onAbort(() => gone.abort());
        const signal = AbortSignal.any([options.signal, gone.signal]);
        const statuses = (last: boolean) => register.statuses(chosen, last);
        const run = { links: chosen, follower, mirror, full: body.full, statuses, clock, signal };
        try {
          for await (const report of runSync(run)) await stream.writeln(JSON.stringify(report));
        } catch (error) {
          if (!signal.aborted) throw error;
        }
      },
      (error) => Promise.resolve(log.error('a synchronisation that was asked for failed', { error })),
    );
  });

  app.post('/v1/sync/verify', async (context) => {
    const body = await parseBody(context, verifyBody);
    const chosen = links.chosen(body.edge);
    if (body.source) await reread(follower);
    const documents = [];
    // One after the other: each walks the whole mirror.
    for (const link of chosen) {
      const { address, source, maxReport } = body;
      const target = () => organisation.target(link.name, clock.now());
      documents.push(
        await verifyEdge({
          link,
          mirror,
          target,
          address,
          source,
          maxReport,
          clock,
          signal: options.signal,
        }),
      );
    }
    return context.json(documents);
  });

  for (const action of ['approve', 'reject', 'reopen'] as const) {
    app.post(`/v1/sync/${action}`, async (context) => {
      const chosen = links.chosen((await parseBody(context, decideBody)).edge);
      for (const link of chosen) connected(link);
      const results = [];
      for (const link of chosen)
        results.push({ edge: link.name, count: await register.decide(link, action) });
      log.info('an administrator decided about held-back removals', {
        decision: action,
        edges: results.map((result) => result.edge).join(' '),
      });
      // What came back to the source meanwhile must be answered for again by right, not by a mark.
      if (action === 'reject') rereadLater();
      return context.json(results);
    });
  }

  const rereadLater = (): void => {
    follower
      ?.runNow({ full: true })
      .catch((error: unknown) =>
        log.warn('the source could not be reread after a rejection', { why: describeError(error) }),
      );
  };
}

async function reread(follower: SourceFollower | undefined): Promise<void> {
  if (follower === undefined)
    throw new PosternError('refused', 'this hub has no source to reread', {
      hint: 'add a table [source] to hub.toml, or verify without --source',
    });
  await follower.runNow({ full: true });
}
