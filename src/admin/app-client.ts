/** A control client without a socket: for commands that work on the files of a daemon that is not running, with the daemon's own operations. */
import type { Hono } from 'hono';
import { type ControlClient, readError } from './control-client.ts';

export function appClient(app: Hono): ControlClient {
  const send = async (method: string, path: string, body: unknown, raw?: Buffer): Promise<Response> => {
    const response = await app.request(`http://localhost${path}`, {
      method,
      ...(body !== undefined && {
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      }),
      ...(raw !== undefined && { body: Uint8Array.from(raw) }),
    });
    if (response.status >= 400) throw readError(await response.text());
    return response;
  };
  const download: ControlClient['download'] = async (method, path, body, onChunk) => {
    const response = await send(method, path, body);
    if (response.body === null) return;
    for await (const chunk of response.body) await onChunk(Buffer.from(chunk));
  };
  return {
    download,
    call: async <T>(method: string, path: string, body?: unknown) =>
      (await (await send(method, path, body)).json()) as T,
    upload: async <T>(path: string, bytes: Buffer) =>
      (await (await send('POST', path, undefined, bytes)).json()) as T,
    async stream(method, path, body, onLine) {
      const decoder = new TextDecoder();
      let rest = '';
      await download(method, path, body, (chunk) => {
        const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) onLine(line);
      });
      if (rest !== '') onLine(rest);
    },
  };
}
