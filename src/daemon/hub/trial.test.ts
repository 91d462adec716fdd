/** Each reason for which an import is refused before anything is written, with real sockets. */
import { createServer, type Server } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeEdge, makeHub, type TestEdge, type TestHub } from '../../../test/support/subscription-site.ts';
import { systemClock } from '../../base/clock.ts';
import { isPosternError } from '../../base/error.ts';
import { silentLog } from '../../base/log.ts';
import { type Identity, tlsCredentials } from '../../certificate/identity.ts';
import { LdapListener } from '../../ldap/server.ts';
import { createSubscription } from '../../subscription/edge-subscription.ts';
import { readSubscriptionFile } from '../../subscription/file-reader.ts';
import { validateSubscription, type ValidatedSubscription } from '../../subscription/validate.ts';
import { tryEdge } from './trial.ts';

let edge: TestEdge;
let other: TestEdge;
let hub: TestHub;
const started: { stop(): Promise<unknown> }[] = [];

beforeAll(async () => {
  [edge, other, hub] = [await makeEdge('edge1', 'edge1.localhost'), await makeEdge('edge2'), await makeHub()];
});
afterAll(async () => {
  await Promise.all(started.map((one) => one.stop()));
});

/** A listener that shows `identity` and answers the first request, a bind, with a result. */
async function listen(identity: Identity, resultCode = 0): Promise<number> {
  const answer = Buffer.from([48, 12, 2, 1, 1, 97, 7, 10, 1, resultCode, 4, 0, 4, 0]);
  const { key, cert } = tlsCredentials(identity);
  const listener = new LdapListener({
    address: { host: '127.0.0.1', port: 0 },
    tls: { identity: { key: key.toString('utf8'), certificate: cert } },
    clock: systemClock,
    log: silentLog,
    accept: (connection) => ({ onFrame: () => connection.send(answer) }),
  });
  await listener.start();
  started.push(listener);
  return listener.port;
}

async function listenPlain(answer: string): Promise<number> {
  const server: Server = createServer((socket) => {
    socket.on('error', () => undefined).resume();
    socket.end(answer);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  started.push({ stop: () => new Promise((resolve) => server.close(resolve)) });
  return (server.address() as { port: number }).port;
}

async function closedPort(): Promise<number> {
  const port = await listenPlain('');
  await started.pop()?.stop();
  return port;
}

async function subscription(change: { fqdn?: string; port: number }): Promise<ValidatedSubscription> {
  const { bytes } = await createSubscription(edge.deps);
  const valid = validateSubscription(readSubscriptionFile(bytes), edge.clock.now());
  return {
    ...valid,
    edgeFqdn: change.fqdn ?? 'edge1.localhost',
    file: { ...valid.file, port: change.port },
  };
}

async function problem(valid: ValidatedSubscription): Promise<Record<string, unknown>> {
  const options = { hub: hub.hub, clock: systemClock, signal: new AbortController().signal };
  try {
    return { proven: await tryEdge(valid, options) };
  } catch (error) {
    if (!isPosternError(error)) throw error;
    return { code: error.code, check: error.fields['check'], hint: error.hint, message: error.message };
  }
}

describe('trying an edge', () => {
  it('an edge that answers with its key is good', async () => {
    const port = await listen(edge.edge.identity);
    expect(await problem(await subscription({ port }))).toEqual({ proven: undefined });
  });

  it.each<[string, () => Promise<{ fqdn?: string; port: number }>, object]>([
    [
      'a name that does not resolve',
      () => Promise.resolve({ fqdn: 'edge1.perimeter.invalid', port: 50636 }),
      { code: 'name.unresolvable', check: 'name' },
    ],
    [
      'a port that nobody listens on',
      async () => ({ port: await closedPort() }),
      { code: 'connect.failed', check: 'port' },
    ],
    [
      'a port without TLS',
      async () => ({ port: await listenPlain('220 mail.example.org ESMTP\r\n') }),
      { code: 'tls.failed', check: 'tls' },
    ],
    [
      'a port where the peer hangs up',
      async () => ({ port: await listenPlain('') }),
      { code: 'tls.failed', check: 'tls' },
    ],
    [
      'another key',
      async () => ({ port: await listen(other.edge.identity) }),
      { code: 'pin.mismatch', check: 'key' },
    ],
    [
      'an account that the edge does not take',
      async () => ({ port: await listen(edge.edge.identity, 49) }),
      { code: 'credential.invalid', check: 'bind' },
    ],
  ])('%s', async (_what, where, expected) => {
    const found = await problem(await subscription(await where()));
    expect(found).toMatchObject(expected);
    expect(found['hint']).toMatch(/nothing was changed/);
  });
});
