/** The schema files that are shipped are the schema, and slapd takes both forms. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { startSlapd } from '../../test/support/slapd.ts';
import { standardSchema } from '../directory/schema/standard.ts';
import { openLdapSchema, openLdapSchemaLdif } from './configuration-schema.ts';

const shipped = (name: string): string =>
  fileURLToPath(new URL(`../../packaging/schema/${name}`, import.meta.url));
const schema = standardSchema();

const HUB = `dn: cn=hub1,dc=example,dc=org
changetype: add
objectClass: posternHub
posternFqdn: hub1.example.org
posternStatement:: AAEC
`;

describe('schema of the configuration directory', () => {
  it('is shipped as it is', async () => {
    await expect(openLdapSchema(schema)).toMatchFileSnapshot(shipped('postern.schema'));
    await expect(openLdapSchemaLdif(schema)).toMatchFileSnapshot(shipped('postern.ldif'));
  });

  it('is taken by slapd as a file', async () => {
    await using slapd = await startSlapd({ schemas: [shipped('postern.schema')] });
    await slapd.modify(HUB);
    expect(await slapd.search('(posternFqdn=HUB1.example.org)')).toContain('dn: cn=hub1,');
  });

  it('is taken by a running slapd as an entry of cn=config', async () => {
    await using slapd = await startSlapd({
      databaseConfig: ['database config', 'access to * by dn.exact="cn=admin,dc=example,dc=org" manage'],
    });
    await promisify(execFile)('ldapadd', [
      '-Q',
      '-Y',
      'EXTERNAL',
      '-H',
      slapd.ldapiUrl,
      '-f',
      shipped('postern.ldif'),
    ]);
    await slapd.modify(HUB);
    expect(await slapd.search('(posternFqdn=HUB1.example.org)')).toContain('dn: cn=hub1,');
  });
});
