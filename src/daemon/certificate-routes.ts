/** Control routes for the node's own certificate, the same on both roles. */
import type { Hono } from 'hono';
import { z } from 'zod';
import type { CertificateDocument } from '../admin/certificate-documents.ts';
import type { Clock } from '../base/clock.ts';
import { checkBrought } from '../certificate/brought.ts';
import { identityFromPem } from '../certificate/identity.ts';
import type { RolloverKeeper } from '../subscription/rollover-keeper.ts';
import type { NodeTrust } from '../subscription/trust-state.ts';
import { parseBody } from './route-body.ts';

export interface CertificateRoutesOptions<T extends NodeTrust> {
  readonly role: 'edge' | 'hub';
  readonly fqdn: string;
  readonly keeper: RolloverKeeper<T>;
  readonly document: () => CertificateDocument;
  readonly clock: Pick<Clock, 'now'>;
}

const MOST_PEM = 256 * 1024;
const useBody = z.strictObject({ certificate: z.string().max(MOST_PEM), key: z.string().max(MOST_PEM) });

export function certificateRoutes<T extends NodeTrust>(
  app: Hono,
  options: CertificateRoutesOptions<T>,
): void {
  const { role, fqdn, keeper, document, clock } = options;

  app.get('/v1/certificate', (context) => context.json(document()));

  app.post('/v1/certificate/renew', async (context) => {
    await keeper.renew();
    return context.json(document());
  });

  app.post('/v1/certificate/use', async (context) => {
    const body = await parseBody(context, useBody);
    const identity = identityFromPem(
      Buffer.from(body.key),
      Buffer.from(body.certificate),
      'this certificate with this key',
    );
    checkBrought(identity, { fqdn, role, now: clock.now() });
    await keeper.use(identity);
    return context.json(document());
  });
}
