/** Control routes for this hub's credentials: list, rotate, revoke. */
import type { Hono } from 'hono';
import { z } from 'zod';
import type { CredentialPairDocument, CredentialsDocument, RotationDocument } from '../../admin/documents.ts';
import type { Clock } from '../../base/clock.ts';
import { PosternError } from '../../base/error.ts';
import type { Log } from '../../base/log.ts';
import { parseAccountName, sameName } from '../../credential/account-name.ts';
import type { HubPair } from '../../credential/lifecycle/hub-pair.ts';
import type { Organisation } from '../../sync/organisation/organisation.ts';
import type { PairDriver } from '../../sync/renewal/pair-driver.ts';
import type { Renewals } from '../../sync/renewal/renewals.ts';
import { parseBody } from '../route-body.ts';
import { pairDocument } from './credential-facts.ts';
import { rootOf } from './credential-warnings.ts';

export interface CredentialRoutesOptions {
  readonly organisation: Organisation;
  readonly renewals: Renewals;
  readonly hubName: string;
  readonly clock: Clock;
  readonly log: Log;
}

const rotateBody = z.strictObject({ edge: z.string().max(63).optional(), now: z.boolean().default(false) });
const revokeBody = z.strictObject({ name: z.string().max(200) });
/** What is not through by then goes on by itself. */
const WAIT_MS = 15_000;

export function credentialRoutes(app: Hono, options: CredentialRoutesOptions): void {
  const { organisation, renewals, hubName, clock, log } = options;

  const drivers = (edge?: string): PairDriver[] => {
    const named = edge === undefined ? organisation.edges() : [organisation.edge(edge)];
    return named.sort((a, b) => (a.name < b.name ? -1 : 1)).map(({ name }) => renewals.of(name));
  };

  const documentOf = ({ name, pair, lanes, wakeAt }: PairDriver): CredentialPairDocument =>
    pairDocument({ hub: hubName, edge: name, pair, lanes, wakeAt }, clock.now());

  app.get('/v1/credentials', (context) => {
    const pairs = drivers(context.req.query('edge')).map(documentOf);
    const document: CredentialsDocument = { version: 1, role: 'hub', hub: hubName, now: clock.now(), pairs };
    return context.json(document);
  });

  app.post('/v1/credentials/rotate', async (context) => {
    const body = await parseBody(context, rotateBody);
    const rotated = drivers(body.edge).map(async (driver): Promise<RotationDocument> => {
      const before = driver.pair?.nextNumber;
      const refusal = refusalOf(driver);
      if (refusal !== undefined) return refusal;
      await driver.command({ type: 'rotate', now: body.now }, renewals.signal);
      const began = driver.pair !== undefined && driver.pair.nextNumber !== before;
      const done = began && (await driver.reaches(body.now ? isRotated : isReady, WAIT_MS));
      return { ...documentOf(driver), outcome: !began ? 'nothing to do' : done ? 'done' : 'under way' };
    });
    log.info('an administrator rotated credentials', { edges: rotated.length, now: body.now });
    return context.json(await Promise.all(rotated));
  });

  app.post('/v1/credentials/revoke', async (context) => {
    const { name: account } = await parseBody(context, revokeBody);
    const name = parseAccountName(account);
    const driver = name === undefined ? undefined : drivers().find((one) => sameName(one.name, name.edge));
    const number = name?.kind === 'esra' && sameName(name.hub, hubName) ? name.number : undefined;
    const known = driver?.pair?.generations.some((one) => one.number === number && !one.gone);
    if (driver === undefined || number === undefined || known !== true)
      throw new PosternError('not-found', `this hub has no account ${account}`, {
        hint: 'postern credential list names those that are there',
      });
    await driver.command({ type: 'revoke', number }, renewals.signal);
    log.info('an administrator revoked a credential', { account });
    const done = await driver.reaches((pair) => isGone(pair, number), WAIT_MS);
    const document: RotationDocument = { ...documentOf(driver), outcome: done ? 'done' : 'under way' };
    return context.json(document);
  });

  /** A pair that cannot be renewed now says why. */
  const refusalOf = (driver: PairDriver): RotationDocument | undefined => {
    const root = rootOf(driver.pair?.warnings ?? {});
    if (driver.pair?.phase === 'active' && root !== 'credential.not-admitted' && root !== 'clock.skew')
      return undefined;
    return { ...documentOf(driver), outcome: 'refused' };
  };
}

function isRotated(pair: HubPair): boolean {
  const using = pair.generations.find(({ number }) => number === pair.using);
  return using?.confirmed === true && !pair.generations.some((one) => one.retiring && !one.gone);
}

function isReady(pair: HubPair): boolean {
  return pair.generations.every((one) => one.confirmed || one.retiring);
}

function isGone(pair: HubPair, number: number): boolean {
  return !pair.generations.some((one) => one.number === number && !one.gone);
}
