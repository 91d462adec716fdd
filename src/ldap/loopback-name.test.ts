import type { LookupAddress } from 'node:dns';
import type { LookupOptions } from 'node:dns';
import { createServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import { systemClock } from '../base/clock.ts';
import { isBelowLocalhost, lookupHost } from './loopback-name.ts';
import { openTransport } from './transport.ts';

const resolve = (host: string, options: LookupOptions): Promise<unknown> =>
  new Promise((done, fail) => {
    lookupHost(host, options, (error, address: string | LookupAddress[], family) =>
      error === null ? done(options.all === true ? address : [address, family]) : fail(error),
    );
  });

describe('names below localhost', () => {
  it.each([
    ['edge1.localhost', true],
    ['a.b.LOCALHOST.', true],
    ['localhost', false],
    ['.localhost', false],
    ['edge1.localhost.example.org', false],
    ['notlocalhost', false],
  ])('%s: %s', (name, expected) => expect(isBelowLocalhost(name)).toBe(expected));

  it('are this machine, whatever the resolver says', async () => {
    expect(await resolve('edge1.localhost', { all: true })).toEqual([
      { address: '127.0.0.1', family: 4 },
      { address: '::1', family: 6 },
    ]);
    expect(await resolve('edge1.localhost', {})).toEqual(['127.0.0.1', 4]);
    expect(await resolve('edge1.localhost', { family: 6 })).toEqual(['::1', 6]);
  });

  it('leave every other name to the system', async () => {
    expect(await resolve('127.0.0.1', {})).toEqual(['127.0.0.1', 4]);
    await expect(resolve('', { family: 5 })).rejects.toThrow('family');
  });

  it('are connected to', async () => {
    const server = createServer((socket) => socket.end());
    await new Promise<void>((listening) => void server.listen(0, '127.0.0.1', listening));
    const { port } = server.address() as { port: number };
    const socket = await openTransport({
      target: { kind: 'tcp', host: 'edge1.localhost', port, tls: false },
      clock: systemClock,
      timeoutMs: 10_000,
    });
    expect(socket.remoteAddress).toBe('127.0.0.1');
    socket.destroy();
    await new Promise((closed) => server.close(closed));
  });
});
