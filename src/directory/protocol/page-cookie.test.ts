import { describe, expect, it } from 'vitest';
import { PageCookies } from './page-cookie.ts';

describe('cookies of paged searches', () => {
  const cookies = new PageCookies(Buffer.alloc(32, 1));

  it('lead back to the position, in their own search only', () => {
    for (const position of [0, 1, 2, 255, 65_536, 0xffff_ffff]) {
      const cookie = cookies.seal(position, 'a');
      expect(cookies.open(cookie, 'a')).toBe(position);
      expect(() => cookies.open(cookie, 'b')).toThrow('not of this search');
      expect(() => new PageCookies(Buffer.alloc(32, 2)).open(cookie, 'a')).toThrow('not of this search');
      for (let at = 0; at < cookie.length; at++) {
        const bent = Buffer.from(cookie);
        bent[at] = (bent[at] as number) ^ 1;
        expect(() => cookies.open(bent, 'a')).toThrow('not of this search');
      }
      expect(() => cookies.open(cookie.subarray(1), 'a')).toThrow('not of this search');
    }
    expect(cookies.open(Buffer.alloc(0), 'a')).toBe(0);
  });

  it('do not tell record numbers', () => {
    const heads = Array.from({ length: 256 }, (_, n) => cookies.seal(n, 'a').readUInt32BE());
    expect(heads.filter((head) => head < 65_536).length).toBeLessThan(8);
    expect(new Set(heads).size).toBe(256);
  });
});
