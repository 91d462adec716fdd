/** Control routes for the hubs of a site: list, join, approve, remove, leave. */
import type { Hono } from 'hono';
import { z } from 'zod';
import type { DepartureDocument, SiteHubDocument } from '../../admin/documents.ts';
import type { Clock } from '../../base/clock.ts';
import { formatFingerprint, parsePin } from '../../certificate/pin.ts';
import type { SiteHub, SiteMembers } from '../../sync/organisation/site-members.ts';
import type { Renewals } from '../../sync/renewal/renewals.ts';
import { parseBody } from '../route-body.ts';
import type { Links } from './links.ts';

/** An edge that does not answer holds nobody up: another hub tells it. */
const TELL_WITHIN_MS = 5000;
const joinBody = z.strictObject({ fingerprint: z.string().max(200) });
const approveBody = joinBody.extend({ hub: z.string().max(100) });

export function memberRoutes(
  app: Hono,
  {
    members,
    links,
    renewals,
    clock,
  }: { members: SiteMembers; links: Links; renewals: Renewals; clock: Clock },
): void {
  app.get('/v1/hubs', async (context) => context.json((await members.hubs()).map(document)));

  app.post('/v1/hubs/join', async (context) => {
    const { fingerprint } = await parseBody(context, joinBody);
    const joined = await members.join(parsePin(fingerprint), clock.now());
    const { adopted, gone } = await members.adopt(clock.now());
    for (const edge of gone) await links.forget(edge.name);
    for (const edge of adopted) links.start(edge.name);
    return context.json(document(joined));
  });

  app.delete('/v1/hubs/:hub', async (context) => {
    const removed = await members.remove(context.req.param('hub'), clock.now());
    links.poke();
    return context.json(document(removed));
  });

  app.post('/v1/hubs/leave', async (context) => {
    const told: string[] = [];
    const untold: string[] = [];
    await members.leave(clock.now(), async (edges) => {
      await Promise.all(
        edges.map(async (edge) => {
          await links.stop(edge);
          ((await renewals.end(edge, TELL_WITHIN_MS)) ? told : untold).push(edge);
        }),
      );
    });
    for (const edge of [...told, ...untold]) await renewals.forget(edge);
    const departure: DepartureDocument = { told: told.sort(), untold: untold.sort() };
    return context.json(departure);
  });

  app.post('/v1/hubs/approve', async (context) => {
    const { hub, fingerprint } = await parseBody(context, approveBody);
    const approved = await members.approve(hub, parsePin(fingerprint), clock.now());
    links.poke();
    return context.json(document(approved));
  });
}

function document({ name, fqdn, pin, standing }: SiteHub): SiteHubDocument {
  return { hub: name, fqdn, fingerprint: formatFingerprint(pin), standing };
}
