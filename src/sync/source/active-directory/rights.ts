/** What an account may see of a domain, and the commands that grant what it lacks. */
import { resultCodeOf } from '../../../ldap/client-error.ts';
import type { LdapClient } from '../../../ldap/client.ts';
import type { Filter } from '../../../ldap/message.ts';
import { RESULT_CODE } from '../../../ldap/result-code.ts';
import { entryAttributes } from '../entry-attributes.ts';
import { pages } from '../pages.ts';
import type { SourceRight } from '../source.ts';
import { dirSyncNow } from './changes.ts';
import type { Controller } from './controller.ts';

/** Bit of searchFlags ([MS-ADTS] 2.2.9): readable only with the right CONTROL_ACCESS. */
const CONFIDENTIAL = 0x80;

export async function readRights(
  client: LdapClient,
  controller: Controller,
  account: { readonly bindDn: string; readonly attributes: readonly string[] },
  signal: AbortSignal,
): Promise<SourceRight[]> {
  const { namingContext } = controller;
  const changes = await mayUseDirSync(client, controller, signal);
  const confidential = await confidentialAmong(client, controller, account.attributes, signal);
  return [
    {
      name: 'Replicating Directory Changes',
      granted: changes,
      matter: 'changes are found by uSNChanged instead of DirSync, which costs more on the controller',
      ...(changes ? {} : { hint: grantDirSync(namingContext, account.bindDn) }),
    },
    {
      name: 'list CN=Deleted Objects',
      granted: controller.seesDeleted,
      matter: 'a deletion is found only when everything is read, at each start and once a day',
      ...(controller.seesDeleted ? {} : { hint: grantDeletedObjects(namingContext) }),
    },
    ...confidential.map((attribute) => ({
      name: `read ${attribute}`,
      granted: false,
      matter: 'the attribute is marked confidential: without the right it reads as if it were empty',
      hint: `dsacls "${namingContext}" /I:S /G "ACCOUNT:CA;${attribute};user", or take it out of the mapping`,
    })),
  ];
}

export function grantDirSync(namingContext: string, bindDn: string): string {
  return (
    `grant "Replicating Directory Changes": dsacls "${namingContext}" /G "ACCOUNT:CA;Replicating Directory Changes" ` +
    `(Samba: samba-tool dsacl set --objectdn="${namingContext}" --trusteedn="${bindDn}" --action=allow --car=get-changes)`
  );
}

function grantDeletedObjects(namingContext: string): string {
  const container = `CN=Deleted Objects,${namingContext}`;
  return `dsacls "${container}" /takeownership; then dsacls "${container}" /G "ACCOUNT:LCRP"`;
}

async function mayUseDirSync(
  client: LdapClient,
  controller: Controller,
  signal: AbortSignal,
): Promise<boolean> {
  if (!controller.dirSync) return false;
  const start = { server: controller.invocationId, reachedAt: 0, usn: controller.usn };
  try {
    await dirSyncNow(client, controller, start, signal);
    return true;
  } catch (error) {
    if (resultCodeOf(error) !== RESULT_CODE.insufficientAccessRights) throw error;
    return false;
  }
}

async function confidentialAmong(
  client: LdapClient,
  { schemaContext }: Controller,
  attributes: readonly string[],
  signal: AbortSignal,
): Promise<string[]> {
  const names = attributes.map(
    (name): Filter => ({
      kind: 'equality',
      attribute: 'lDAPDisplayName',
      value: Buffer.from(name),
    }),
  );
  const filter: Filter = { kind: 'or', filters: names };
  const found: string[] = [];
  const asked = { base: schemaContext, filter, attributes: ['lDAPDisplayName', 'searchFlags'] };
  for await (const items of pages(client, asked, signal)) {
    for (const { operation } of items) {
      if (operation.op !== 'searchResultEntry') continue;
      const values = entryAttributes(operation.attributes);
      const flags = Number(values.get('searchflags')?.[0]?.toString('latin1') ?? 0);
      const name = values.get('ldapdisplayname')?.[0]?.toString('utf8');
      if ((flags & CONFIDENTIAL) !== 0 && name !== undefined) found.push(name);
    }
  }
  return found;
}
