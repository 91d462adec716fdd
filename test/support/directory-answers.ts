/** Answers as plain data, whatever their code, for tests of a served directory. */
import type { LdapClient, SearchParameters } from '../../src/ldap/client.ts';
import type { Attribute, Control, LdapResult } from '../../src/ldap/message.ts';
import { resultName } from '../../src/ldap/result-code.ts';
import { accept } from './directory-requests.ts';

export interface Found {
  /** Name of the result code. */
  readonly result: string;
  readonly diagnostic: string;
  readonly matchedDn: string;
  readonly names: readonly string[];
  readonly entries: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;
  readonly controls: readonly Control[];
}

export async function found(
  client: LdapClient,
  parameters: SearchParameters,
  controls: readonly Control[] = [],
): Promise<Found> {
  const names: string[] = [];
  const entries: Record<string, Record<string, string[]>> = {};
  const stream = client.search(parameters, { controls, accept });
  for await (const { operation } of stream) {
    if (operation.op !== 'searchResultEntry') continue;
    names.push(operation.dn);
    entries[operation.dn] = textsOf(operation.attributes);
  }
  const done = await stream.done;
  const { code, diagnostic, matchedDn } = done.operation.result;
  return { result: resultName(code), diagnostic, matchedDn, names, entries, controls: done.controls };
}

export function textsOf(attributes: readonly Attribute[]): Record<string, string[]> {
  return Object.fromEntries(attributes.map(({ type, values }) => [type, values.map(String)]));
}

/** "noSuchObject: what was said". */
export async function outcome(sent: {
  readonly result: Promise<{ readonly operation: { readonly result: LdapResult } }>;
}): Promise<string> {
  const { result } = (await sent.result).operation;
  return result.diagnostic === ''
    ? resultName(result.code)
    : `${resultName(result.code)}: ${result.diagnostic}`;
}

export const critical = (oid: string, value?: Buffer): Control => ({
  oid,
  critical: true,
  ...(value !== undefined && { value }),
});
export const optional = (oid: string, value?: Buffer): Control => ({
  oid,
  critical: false,
  ...(value !== undefined && { value }),
});
