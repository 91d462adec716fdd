/**
 * The control socket: HTTP with JSON over a unix socket that only the daemon's user can open. What it offers is an app
 * made by the daemon; here is the transport, and how errors travel.
 */
import { chmod, lstat, unlink } from 'node:fs/promises';
import type { Server } from 'node:http';
import { createAdaptorServer } from '@hono/node-server';
import { Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { type ErrorFields, PosternError } from '../base/error.ts';
import type { Log } from '../base/log.ts';

/** How an error looks on the wire. */
export interface ErrorDocument {
  readonly error: {
    readonly code: string;
    readonly message: string;
    readonly hint?: string;
    readonly fields?: ErrorFields;
  };
}

const MOST_BODY_BYTES = 1 << 20;
/** A piece of LDIF: at least one record, however long. */
const MOST_IMPORT_BYTES = 10 << 20;
export const IMPORT_PATH = '/v1/directory/import';

/** An app whose errors are answered as `ErrorDocument`. */
export function createControlApp(log: Log): Hono {
  const app = new Hono();
  const [ordinary, ofImport] = [MOST_BODY_BYTES, MOST_IMPORT_BYTES].map((maxSize) => bodyLimit({ maxSize }));
  app.use(
    (context, next) => (context.req.path === IMPORT_PATH ? ofImport : ordinary)?.(context, next) ?? next(),
  );
  app.notFound((context) =>
    context.json(
      errorDocument(
        new PosternError('not-found', `no such operation: ${context.req.method} ${context.req.path}`),
      ),
      404,
    ),
  );
  app.onError((error, context) => {
    if (error instanceof PosternError) return context.json(errorDocument(error), 422);
    log.error('an operation failed unexpectedly', { path: context.req.path, error });
    return context.json(
      errorDocument(
        new PosternError('internal', 'an internal error; the daemon logged it', { cause: error }),
      ),
      500,
    );
  });
  return app;
}

export interface ControlServer {
  stop(): Promise<void>;
}

/** Listens on `path` (0600). A leftover socket is removed: the data folder's lock has shown that no daemon uses it. */
export async function serveControl(app: Hono, path: string): Promise<ControlServer> {
  const stale = await lstat(path).catch(() => undefined);
  if (stale?.isSocket() === true) await unlink(path);
  const server = createAdaptorServer({ fetch: app.fetch }) as Server;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => {
      reject(
        new PosternError('file.unwritable', `cannot listen on ${path}`, {
          cause,
          hint: 'check the owner of the data folder; a socket path has at most 107 bytes',
        }),
      );
    });
    server.listen(path, resolve);
  });
  await chmod(path, 0o600);
  return {
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function errorDocument(error: PosternError): ErrorDocument {
  const { code, message, hint, fields } = error;
  return {
    error: {
      code,
      message: withCause(message, error.cause),
      ...(hint === undefined ? {} : { hint }),
      fields,
    },
  };
}

function withCause(message: string, cause: unknown): string {
  return cause instanceof Error && cause.message !== '' && !message.includes(cause.message)
    ? `${message}: ${cause.message}`
    : message;
}
