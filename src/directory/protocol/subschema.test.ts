/** The subschema entry (RFC 4512 §4.2) says what entries and filters are judged by. */
import { describe, expect, it } from 'vitest';
import { found } from '../../../test/support/directory-answers.ts';
import { BASE } from '../../../test/support/directory-requests.ts';
import { addition, ADMINISTRATOR, serveDirectory } from '../../../test/support/served-directory.ts';
import { runTool } from '../../../test/support/slapd.ts';
import type { LdapClient } from '../../ldap/client.ts';
import { FEATURE } from '../../ldap/control.ts';
import { parseFilter } from '../../ldap/filter.ts';
import { parseDescription } from '../schema/parse-description.ts';

const entries = [
  addition(BASE, { objectClass: ['domain'] }),
  addition(`cn=a,${BASE}`, { objectClass: ['person'], sn: ['s'] }),
];

const names = async (client: LdapClient, filter: string): Promise<readonly string[]> =>
  (await found(client, { base: BASE, filter: parseFilter(filter), attributes: ['1.1'] })).names;

describe('the subschema', () => {
  it('is what entries are judged by: it can be read back, and names only what it defines', async () => {
    await using served = await serveDirectory({ entries });
    const client = await served.client();
    const read = await found(client, { base: 'cn=subschema', scope: 'base', attributes: ['*', '+'] });
    const entry = read.entries['cn=Subschema'] ?? {};
    expect(entry['objectClass']).toContain('subschema');
    const { schema } = served.directory;
    const types = (entry['attributeTypes'] ?? []).map((text) => parseDescription('attributeType', text));
    expect(types).toHaveLength(schema.attributeTypes.length);
    const classes = (entry['objectClasses'] ?? []).map((text) => parseDescription('objectClass', text));
    expect(classes).toHaveLength(schema.objectClasses.length);
    const rules = new Set(
      (entry['matchingRules'] ?? []).flatMap((text) => /NAME '([^']+)'/.exec(text)?.[1] ?? []),
    );
    const syntaxes = new Set(
      (entry['ldapSyntaxes'] ?? []).flatMap((text) => /^\( (\S+)/.exec(text)?.[1] ?? []),
    );
    for (const text of entry['attributeTypes'] ?? []) {
      for (const [, rule = ''] of text.matchAll(/(?:EQUALITY|ORDERING|SUBSTR) (\S+)/g))
        expect(rules).toContain(rule);
      const syntax = /SYNTAX ([\d.]+)/.exec(text)?.[1];
      if (syntax !== undefined) expect(syntaxes).toContain(syntax);
    }
  });

  it('lists the uses of matching rules that filters allow, and no others', async () => {
    await using served = await serveDirectory({ entries });
    const client = await served.client();
    const read = await found(client, {
      base: 'cn=Subschema',
      scope: 'base',
      attributes: ['matchingRuleUse'],
    });
    const uses = new Map(
      (read.entries['cn=Subschema']?.['matchingRuleUse'] ?? []).map((text) => [
        /NAME '([^']+)'/.exec(text)?.[1] ?? '',
        /APPLIES \( ?(.*?) ?\)/.exec(text)?.[1]?.split(' $ ') ?? [],
      ]),
    );
    // A use that is allowed makes an assertion false, and its negation true; one that isn't is Undefined either way.
    for (const [rule, type, value] of [
      ['caseExactMatch', 'sn', 'none'],
      ['caseIgnoreOrderingMatch', 'sn', ''],
      ['caseIgnoreMatch', 'telephoneNumber', 'none'],
      ['integerMatch', 'msExchRecipientTypeDetails', '7'],
      ['integerMatch', 'sn', '7'],
      ['caseIgnoreMatch', 'msExchRecipientTypeDetails', 'none'],
      ['caseIgnoreSubstringsMatch', 'sn', 'none'],
    ] as const) {
      const truth = await names(client, `(!(${type}:${rule}:=${value === '' ? 'a' : value}))`);
      expect([rule, type, truth.length > 0]).toEqual([rule, type, uses.get(rule)?.includes(type) === true]);
    }
  });

  it('can be asked for below its own name only', async () => {
    await using served = await serveDirectory({ entries });
    const client = await served.client();
    const at = async (scope: 'base' | 'one' | 'subtree', filter = '(objectClass=subschema)') =>
      (await found(client, { base: 'CN=Subschema', scope, filter: parseFilter(filter) })).names.length;
    expect([await at('base'), await at('one'), await at('subtree')]).toEqual([1, 0, 1]);
    expect(await at('base', '(objectClass=person)')).toBe(0);
    expect(await at('base', '(attributeTypes=2.5.4.3)')).toBe(1);
    const below = await found(client, { base: 'cn=x,cn=Subschema' });
    expect(below.result).toBe('noSuchObject');
    const stranger = await served.client('anonymous');
    expect((await found(stranger, { base: 'cn=Subschema', scope: 'base' })).names).toEqual([]);
  });

  it('as ldapsearch reads it', async () => {
    await using served = await serveDirectory({ entries });
    const login = ['-x', '-D', ADMINISTRATOR.dn, '-w', ADMINISTRATOR.password, '-H', served.url];
    const text = await runTool('ldapsearch', [
      ...login,
      '-LLL',
      '-o',
      'ldif-wrap=no',
      '-b',
      'cn=Subschema',
      '-s',
      'base',
      'objectClasses',
    ]);
    expect(text).toMatch(/^objectClasses: \( 2\.5\.6\.6 NAME 'person'/m);
    const dse = await runTool('ldapsearch', ['-x', '-H', served.url, '-LLL', '-b', '', '-s', 'base', '+']);
    expect(dse).toContain(`supportedFeatures: ${FEATURE.modifyIncrement}`);
  });
});
