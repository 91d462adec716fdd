/** The command line's side of the control socket. */
import { type IncomingMessage, request } from 'node:http';
import { type ErrorCode, PosternError } from '../base/error.ts';
import type { ErrorDocument } from './control-server.ts';

export interface ControlClient {
  /** Sends `body` as JSON and returns the answer's JSON. Errors of the daemon come back as they were thrown there. */
  call<T>(method: 'GET' | 'POST' | 'DELETE', path: string, body?: unknown): Promise<T>;
  /** The same for an answer of many JSON lines, or of plain text chunks when `raw`. */
  stream(method: 'GET' | 'POST', path: string, body: unknown, onLine: (line: string) => void): Promise<void>;
  /** The answer's bytes as they come; the next ones are not asked for before `onChunk` has settled. */
  download(
    method: 'GET' | 'POST',
    path: string,
    body: unknown,
    onChunk: (chunk: Buffer) => Promise<void> | void,
  ): Promise<void>;
  /** Sends bytes as they are, and returns the answer's JSON. */
  upload<T>(path: string, bytes: Buffer): Promise<T>;
}

export function controlClient(socketPath: string): ControlClient {
  return {
    async call<T>(method: string, path: string, body?: unknown): Promise<T> {
      const chunks: Buffer[] = [];
      await send(socketPath, method, path, jsonBody(body), (chunk) => void chunks.push(chunk));
      return JSON.parse(Buffer.concat(chunks).toString('utf8')) as T;
    },
    async upload<T>(path: string, bytes: Buffer): Promise<T> {
      const chunks: Buffer[] = [];
      const sent = { type: 'application/octet-stream', bytes };
      await send(socketPath, 'POST', path, sent, (chunk) => void chunks.push(chunk));
      return JSON.parse(Buffer.concat(chunks).toString('utf8')) as T;
    },
    download: (method, path, body, onChunk) => send(socketPath, method, path, jsonBody(body), onChunk),
    async stream(method, path, body, onLine) {
      let rest = '';
      const decoder = new TextDecoder();
      await send(socketPath, method, path, jsonBody(body), (chunk) => {
        const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) onLine(line);
      });
      if (rest !== '') onLine(rest);
    },
  };
}

interface Body {
  readonly type: string;
  readonly bytes: Buffer;
}

function jsonBody(body: unknown): Body | undefined {
  return body === undefined
    ? undefined
    : { type: 'application/json', bytes: Buffer.from(JSON.stringify(body)) };
}

function send(
  socketPath: string,
  method: string,
  path: string,
  body: Body | undefined,
  onChunk: (chunk: Buffer) => Promise<void> | void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const headers =
      body === undefined ? {} : { 'content-type': body.type, 'content-length': body.bytes.length };
    const outgoing = request({ socketPath, method, path, headers }, (response) => {
      take(response, onChunk).then(resolve, reject);
    });
    outgoing.on('error', (cause) => reject(unreachable(socketPath, cause)));
    outgoing.end(body?.bytes);
  });
}

async function take(
  response: IncomingMessage,
  onChunk: (chunk: Buffer) => Promise<void> | void,
): Promise<void> {
  const failed = (response.statusCode ?? 500) >= 400;
  const errorChunks: Buffer[] = [];
  let taking = false;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      taking = true;
      if (failed) errorChunks.push(chunk);
      else await onChunk(chunk);
      taking = false;
    }
  } catch (cause) {
    // What whoever takes the answer could not do is its own error.
    if (taking) throw cause;
    throw new PosternError('daemon.unreachable', 'the daemon ended in the middle of its answer', {
      cause,
      hint: "the daemon's log says why; the answer is not whole",
    });
  }
  if (failed) throw readError(Buffer.concat(errorChunks).toString('utf8'));
}

export function readError(text: string): PosternError {
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
  const what =
    code === 'EACCES'
      ? `this user may not ask the daemon at ${socketPath}`
      : `no daemon answers on ${socketPath}`;
  return new PosternError('daemon.unreachable', what, { cause, hint });
}
