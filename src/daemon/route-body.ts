/** Bodies and queries of control routes, checked; what is wrong is a usage error, never a crash. */
import type { Context } from 'hono';
import type { z } from 'zod';
import { PosternError } from '../base/error.ts';

export async function parseBody<S extends z.ZodType>(context: Context, schema: S): Promise<z.infer<S>> {
  let body: unknown;
  try {
    const text = await context.req.text();
    body = text === '' ? {} : JSON.parse(text);
  } catch (cause) {
    throw new PosternError('usage', 'the request is not JSON', { cause });
  }
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new PosternError(
    'usage',
    `the request is not right: ${issue?.path.join('.') ?? ''} ${issue?.message ?? ''}`.trim(),
  );
}
