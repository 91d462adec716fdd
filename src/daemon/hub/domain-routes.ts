/** Control routes for the accepted domains. */
import type { Hono } from 'hono';
import { z } from 'zod';
import type { DomainDocument } from '../../admin/documents.ts';
import type { Log } from '../../base/log.ts';
import { domainDocument, parseDomainInput, parseDomainName } from '../../sync/organisation/domain.ts';
import type { Organisation } from '../../sync/organisation/organisation.ts';
import { parseBody } from '../route-body.ts';
import type { Links } from './links.ts';

const domainBody = z.strictObject({
  domain: z.string().max(1000),
  kind: z.string().max(40).optional(),
  catchAll: z.boolean().optional(),
  recipientDelimiter: z.string().max(40).optional(),
  maxAge: z.string().max(40).optional(),
});

export function domainRoutes(
  app: Hono,
  options: { organisation: Organisation; links: Links; log: Log },
): void {
  const { organisation, links, log } = options;

  app.get('/v1/domains', async (context) =>
    context.json((await organisation.domains()).map(domainDocument) satisfies DomainDocument[]),
  );

  app.post('/v1/domains', async (context) => {
    const input = await parseBody(context, domainBody);
    const name = parseDomainName(input.domain);
    const before = (await organisation.domains()).find((one) => one.domain === name);
    const domain = parseDomainInput(input, before);
    await organisation.putDomain(domain);
    links.poke();
    log.info('accepted domain stated', { domain: domain.domain, kind: domain.kind });
    return context.json(domainDocument(domain) satisfies DomainDocument);
  });

  app.delete('/v1/domains/:domain', async (context) => {
    const domain = parseDomainName(context.req.param('domain'));
    await organisation.removeDomain(domain);
    links.poke();
    log.info('accepted domain removed', { domain });
    return context.json({ domain });
  });
}
