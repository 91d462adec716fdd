/** The command line's side of the control socket. */
import { request } from 'node:http';
import { type ErrorCode, PosternError } from '../base/error.ts';
import type { ErrorDocument } from './control-server.ts';

export interface ControlClient {
  /** Sends `body` as JSON and returns the answer's JSON. Errors of the daemon come back as they were thrown there. */
  call<T>(method: 'GET' | 'POST' | 'DELETE', path: string, body?: unknown): Promise<T>;
  /** The same for an answer of many JSON lines, or of plain text chunks when `raw`. */
  stream(method: 'GET' | 'POST', path: string, body: unknown, onLine: (line: string) => void): Promise<void>;
}

export function controlClient(socketPath: string): ControlClient {
  return {
    async call<T>(method: string, path: string, body?: unknown): Promise<T> {
      const chunks: Buffer[] = [];
      await send(socketPath, method, path, body, (chunk) => chunks.push(chunk));
      return JSON.parse(Buffer.concat(chunks).toString('utf8')) as T;
    },
    async stream(method, path, body, onLine) {
      let rest = '';
      const decoder = new TextDecoder();
      await send(socketPath, method, path, body, (chunk) => {
        const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) onLine(line);
      });
      if (rest !== '') onLine(rest);
    },
  };
}

function send(
  socketPath: string,
  method: string,
  path: string,
  body: unknown,
  onChunk: (chunk: Buffer) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const headers =
      text === undefined
        ? {}
        : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) };
    const outgoing = request({ socketPath, method, path, headers }, (response) => {
      const failed = (response.statusCode ?? 500) >= 400;
      const errorChunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => (failed ? errorChunks.push(chunk) : onChunk(chunk)));
      response.on('error', (cause) => reject(unreachable(socketPath, cause)));
      response.on('end', () =>
        failed ? reject(readError(Buffer.concat(errorChunks).toString('utf8'))) : resolve(),
      );
    });
    outgoing.on('error', (cause) => reject(unreachable(socketPath, cause)));
    outgoing.end(text);
  });
}

function readError(text: string): PosternError {
  try {
    const { error } = JSON.parse(text) as ErrorDocument;
    return new PosternError(error.code as ErrorCode, error.message, {
      ...(error.hint === undefined ? {} : { hint: error.hint }),
      fields: error.fields ?? {},
    });
  } catch (cause) {
    return new PosternError('internal', 'the daemon answered with something else than JSON', { cause });
  }
}

function unreachable(socketPath: string, cause: unknown): PosternError {
  const code = (cause as { code?: string }).code;
  const hint =
    code === 'EACCES'
      ? 'run the command as root or as the user of the daemon'
      : 'start the daemon (postern edge run, postern hub run), or name its configuration with --config';
  return new PosternError('daemon.unreachable', `no daemon answers on ${socketPath}`, { cause, hint });
}
