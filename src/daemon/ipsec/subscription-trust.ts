/** What the edge or hub on this machine knows, read from its files beside it: its identity, and the pins of the nodes it is subscribed with. */
import { join } from 'node:path';
import { PosternError } from '../../base/error.ts';
import type { Files } from '../../base/files.ts';
import type { Identity } from '../../certificate/identity.ts';
import { readIdentity } from '../../certificate/identity-files.ts';
import type { Pin, PinSet } from '../../certificate/pin.ts';
import { COPIES, TrustCopies } from '../../certificate/trust-copies.ts';
import { edgeConfigSchema } from '../../config/edge-config.ts';
import { hubConfigSchema } from '../../config/hub-config.ts';
import { parseConfig } from '../../config/load.ts';
import {
  EDGE_TRUST_STORE,
  type EdgeTrustState,
  edgeTrustSchema,
  HUB_TRUST_STORE,
  type HubTrustState,
  hubTrustSchema,
} from '../../subscription/trust-state.ts';

type TrustState = EdgeTrustState | HubTrustState;

export async function subscriptionIdentity(files: Files, configPath: string): Promise<Identity> {
  const { identity } = await readTrust(files, configPath);
  return readIdentity(files, identity);
}

/** `node`: a host name. */
export async function subscriptionPins(files: Files, configPath: string, node: string): Promise<Pin[]> {
  const trust = await readTrust(files, configPath);
  const known: { fqdn: string; pins: PinSet }[] =
    trust.role === 'edge' ? Object.values(trust.hubs) : Object.values(trust.edges);
  return known
    .filter(({ fqdn }) => fqdn.toLowerCase() === node)
    .flatMap(({ pins: { current, next } }) => (next === undefined ? [current] : [current, next]));
}

async function readTrust(files: Files, configPath: string): Promise<TrustState> {
  const text = await files.readFile(configPath).then(String, (cause: unknown) => {
    throw new PosternError(
      'config.invalid',
      `cannot read ${configPath}, the configuration named by "subscription"`,
      {
        cause,
        hint: 'name edge.toml or hub.toml of this machine, and run as root',
      },
    );
  });
  const isHub = /hub[^/]*\.toml$/.test(configPath);
  const { data } = isHub
    ? parseConfig(hubConfigSchema, text, configPath)
    : parseConfig(edgeConfigSchema, text, configPath);
  const copies = new TrustCopies(files, join(data, 'trust'), isHub ? HUB_TRUST_STORE : EDGE_TRUST_STORE);
  const found = await Promise.all(COPIES.map((copy) => copies.read(copy)));
  const [newest] = found
    .flatMap((one) => (one === undefined || one instanceof PosternError ? [] : [one]))
    .sort((a, b) => b.sequence - a.sequence);
  if (newest === undefined)
    throw new PosternError(
      'ipsec.peer',
      `${isHub ? 'the hub' : 'the edge'} of ${configPath} has no identity yet`,
      { hint: 'start its daemon once' },
    );
  return isHub ? hubTrustSchema.parse(newest.document) : edgeTrustSchema.parse(newest.document);
}
