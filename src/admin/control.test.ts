import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isPosternError, PosternError } from '../base/error.ts';
import { silentLog } from '../base/log.ts';
import { controlClient } from './control-client.ts';
import { type ControlServer, createControlApp, serveControl } from './control-server.ts';

describe('control socket', () => {
  let folder: string;
  let path: string;
  let server: ControlServer;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'postern-control-'));
    path = join(folder, 'control.sock');
    const app = createControlApp(silentLog);
    app.get('/ok', (context) => context.json({ fine: true }));
    app.post('/echo', async (context) => context.json(await context.req.json()));
    app.get('/lines', (context) => context.text('{"n":1}\n{"n":"ü"}\nlast'));
    app.get('/refuse', () => {
      throw new PosternError('subscription.duplicate', 'subscribed already', {
        hint: 'remove it first',
        fields: { edge: 'edge1' },
        cause: new Error('why'),
      });
    });
    app.get('/crash', () => {
      throw new TypeError('internal detail');
    });
    server = await serveControl(app, path);
  });

  afterAll(async () => {
    await server.stop();
    await rm(folder, { recursive: true });
  });

  it('can be opened by its owner only', async () => {
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  it('carries documents and lines', async () => {
    const client = controlClient(path);
    expect(await client.call('GET', '/ok')).toEqual({ fine: true });
    expect(await client.call('POST', '/echo', { text: 'ünï' })).toEqual({ text: 'ünï' });
    const lines: string[] = [];
    await client.stream('GET', '/lines', undefined, (line) => lines.push(line));
    expect(lines).toEqual(['{"n":1}', '{"n":"ü"}', 'last']);
  });

  it('carries errors as they were thrown, and no inner detail of a crash', async () => {
    const client = controlClient(path);
    await expect(client.call('GET', '/refuse')).rejects.toMatchObject({
      code: 'subscription.duplicate',
      message: 'subscribed already: why',
      hint: 'remove it first',
      fields: { edge: 'edge1' },
    });
    const crash = await client.call('GET', '/crash').catch((error: unknown) => error);
    expect(isPosternError(crash, 'internal')).toBe(true);
    await expect(client.call('GET', '/nowhere')).rejects.toMatchObject({ code: 'not-found' });
  });

  it('refuses a body that is too large', async () => {
    await expect(
      controlClient(path).call('POST', '/echo', { text: 'x'.repeat(2 << 20) }),
    ).rejects.toMatchObject({ name: 'PosternError' });
  });

  it('takes the place of a socket that a crash left', async () => {
    const again = await serveControl(createControlApp(silentLog), path);
    await expect(controlClient(path).call('GET', '/ok')).rejects.toMatchObject({ code: 'not-found' });
    await again.stop();
  });

  it('says when nobody is there', async () => {
    await expect(controlClient(join(folder, 'none')).call('GET', '/ok')).rejects.toMatchObject({
      code: 'daemon.unreachable',
      hint: expect.stringContaining('start the daemon') as string,
    });
  });
});
