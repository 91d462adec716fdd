import { describe, expect, it } from 'vitest';
import { demoPerson } from './population.ts';

describe('demo population', () => {
  it('gives everybody addresses of their own', () => {
    const seen = new Set<string>();
    for (let n = 0; n < 20_000; n++) {
      for (const address of demoPerson(n).addresses) {
        expect(address).toMatch(/^[a-z]+[a-z.]*\d+@[a-z.]+$/);
        expect(seen.has(address)).toBe(false);
        seen.add(address);
      }
    }
  });
});
