import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createHmacSha256 } from './hmac.ts';

describe('HMAC-SHA-256', () => {
  it('is what the library computes, for any key and message', () => {
    const message = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 400 }),
      fc.uint8Array({ maxLength: 1100 }),
    );
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 200 }),
        fc.array(message),
        fc.integer({ min: 1, max: 32 }),
        (key, messages, length) => {
          const own = createHmacSha256(key, length);
          for (const one of messages)
            expect(own(one)).toEqual(createHmac('sha256', key).update(one).digest().subarray(0, length));
        },
      ),
    );
  });

  it('keeps nothing that later messages change', () => {
    const own = createHmacSha256(Buffer.from('key'), 16);
    const [first, second] = [own('a'), own('b')];
    expect(first).not.toEqual(second);
    expect(own('a')).toEqual(first);
  });
});
