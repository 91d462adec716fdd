import { expect, test } from 'vitest';
import { mergeCookies } from './csn-cookie.ts';

const csn = (sid: number, second: number): string =>
  `202601011000${String(second).padStart(2, '0')}.000000Z#000000#${sid.toString(16).padStart(3, '0')}#000000`;
const cookie = (...csns: string[]): string => `rid=000,csn=${csns.join(';')}`;

test.each([
  ['one server', cookie(csn(0, 1)), cookie(csn(0, 2)), cookie(csn(0, 2))],
  ['another server stays', cookie(csn(1, 1), csn(2, 5)), cookie(csn(1, 3)), cookie(csn(1, 3), csn(2, 5))],
  ['a new server', cookie(csn(2, 5)), cookie(csn(1, 3)), cookie(csn(1, 3), csn(2, 5))],
  ['never back', cookie(csn(1, 4)), cookie(csn(1, 3), csn(17, 1)), cookie(csn(1, 4), csn(17, 1))],
  [
    'sid kept',
    cookie(csn(1, 1)),
    `rid=000,sid=001,csn=${csn(2, 1)}`,
    `rid=000,sid=001,csn=${csn(1, 1)};${csn(2, 1)}`,
  ],
  ['somebody else’s form', 'host:389#cn=x#12', 'host:389#cn=x#13', 'host:389#cn=x#13'],
  ['another form before', 'x', cookie(csn(1, 1)), cookie(csn(1, 1))],
  ['another form after', cookie(csn(1, 1)), 'x', 'x'],
  ['a server named twice', cookie(csn(1, 1)), cookie(csn(2, 1), csn(2, 2)), cookie(csn(2, 1), csn(2, 2))],
])('%s', (_name, known, next, merged) => {
  expect(mergeCookies(Buffer.from(known), Buffer.from(next)).toString()).toBe(merged);
});

test('nothing known', () => {
  expect(mergeCookies(undefined, Buffer.from('c')).toString()).toBe('c');
});
