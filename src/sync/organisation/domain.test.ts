import { describe, expect, it } from 'vitest';
import { parseDomainInput, parseDomainName } from './domain.ts';

describe('names of accepted domains', () => {
  it.each([
    ['example.org', 'example.org'],
    ['Example.ORG.', 'example.org'],
    ['müller.example', 'xn--mller-kva.example'],
    ['xn--mller-kva.example', 'xn--mller-kva.example'],
    ['a-b.example', 'a-b.example'],
  ])('%s is %s', (text, domain) => {
    expect(parseDomainInput({ domain: text }).domain).toBe(domain);
  });

  it.each([
    ['exa_mple', /"exa_mple" is no mail domain: there is an underscore in it/],
    ['_dmarc.example.org', /underscore/],
    ['exa mple.org', /"exa mple.org" is no domain name/],
    ['-a.example', /no domain name/],
    ['a..example', /no domain name/],
    ['user@example.org', /no domain name/],
    ['192.0.2.1', /no domain name/],
    ['[192.0.2.1]', /no domain name/],
    ['', /no domain name/],
  ])('%s is refused, and why is said', (text, why) => {
    expect(() => parseDomainInput({ domain: text })).toThrow(why);
  });

  it('one that is there with such a name can be changed, and taken away', () => {
    const before = {
      domain: 'exa_mple',
      kind: 'authoritative',
      catchAll: false,
      recipientDelimiter: '',
      maxAgeMs: undefined,
    } as const;
    expect(parseDomainInput({ domain: 'exa_mple', kind: 'internalRelay' }, before)).toMatchObject({
      domain: 'exa_mple',
      kind: 'internalRelay',
    });
    expect(parseDomainName('exa_mple')).toBe('exa_mple');
  });
});
