/** Requests carried out by a client, and everything of the answers that can be compared, in a form that does not depend on order. */
import {
  decodePagedResults,
  decodeReadResult,
  decodeSortResult,
  encodePagedResults,
} from '../../../src/ldap/control-values.ts';
import { CONTROL } from '../../../src/ldap/control.ts';
import type { LdapClient } from '../../../src/ldap/client.ts';
import { RESULT_CODE } from '../../../src/ldap/result-code.ts';
import { formatDn, parseDn } from '../../../src/ldap/dn.ts';
import { formatFilter } from '../../../src/ldap/filter.ts';
import type { Attribute, Control, Request, SearchRequest } from '../../../src/ldap/message.ts';

export interface Asked {
  readonly request: Extract<
    Request,
    {
      op:
        | 'searchRequest'
        | 'compareRequest'
        | 'addRequest'
        | 'modifyRequest'
        | 'deleteRequest'
        | 'modifyDnRequest'
        | 'extendedRequest';
    }
  >;
  readonly controls?: readonly Control[];
  /** Follows the pages of RFC 2696 with this page size. */
  readonly pageSize?: number;
  /** The values of this attribute, as they follow one another, are part of the answer. */
  readonly orderedBy?: string;
}

export type Entries = Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;

export interface Outcome {
  readonly code: number;
  readonly matchedDn: string;
  readonly entries: Entries;
  readonly order?: readonly (readonly string[])[];
  /** Where the size limit ended it: how many entries there were. */
  readonly count?: number;
  /** How many entries each page had; whether an empty one comes last is a matter of looking ahead (RFC 2696 §3). */
  readonly pages?: readonly number[];
  readonly controls: readonly unknown[];
  readonly value?: string;
}

/** Every result code: none is an error here. */
export const EVERY_CODE: readonly number[] = Array.from({ length: 4200 }, (_, code) => code);

export async function run(client: LdapClient, asked: Asked): Promise<Outcome> {
  const { request } = asked;
  const options = { accept: EVERY_CODE, ...(asked.controls !== undefined && { controls: asked.controls }) };
  const plain = async (sent: {
    result: Promise<{
      operation: { result: { code: number; matchedDn: string }; value?: Buffer };
      controls: readonly Control[];
    }>;
  }): Promise<Outcome> => {
    const { operation, controls } = await sent.result;
    return {
      ...resultOf(operation.result, controls),
      entries: {},
      ...(operation.value !== undefined && { value: operation.value.toString('latin1') }),
    };
  };
  switch (request.op) {
    case 'searchRequest':
      return search(client, request, asked);
    case 'addRequest':
      return plain(client.add(request.dn, request.attributes, options));
    case 'modifyRequest':
      return plain(client.modify(request.dn, request.changes, options));
    case 'deleteRequest':
      return plain(client.delete(request.dn, options));
    case 'modifyDnRequest':
      return plain(client.modifyDn(request.dn, request, options));
    case 'compareRequest':
      return plain(client.compare(request.dn, request.attribute, request.value, options));
    case 'extendedRequest':
      return plain(client.extended(request.oid, request.value, options));
  }
}

async function search(client: LdapClient, request: SearchRequest, asked: Asked): Promise<Outcome> {
  const entries: Record<string, Record<string, string[]>> = {};
  const order: (readonly string[])[] = [];
  const pages: number[] = [];
  const { pageSize, orderedBy } = asked;
  for (let cookie: Buffer = Buffer.alloc(0); ; ) {
    const paging =
      pageSize === undefined
        ? []
        : [
            {
              oid: CONTROL.pagedResults,
              critical: true,
              value: encodePagedResults({ size: pageSize, cookie }),
            },
          ];
    const controls = [...(asked.controls ?? []), ...paging];
    const stream = client.search(request, { accept: EVERY_CODE, controls });
    let count = 0;
    for await (const { operation } of stream) {
      if (operation.op !== 'searchResultEntry') continue;
      const dn = sameName(operation.dn);
      const found = content(operation.attributes);
      entries[dn] = found;
      if (orderedBy !== undefined) order.push(found[orderedBy] ?? []);
      count++;
    }
    const done = await stream.done;
    pages.push(count);
    const answer = done.controls.find(({ oid }) => oid === CONTROL.pagedResults);
    cookie = answer === undefined ? Buffer.alloc(0) : decodePagedResults(answer.value).cookie;
    if (pageSize !== undefined && cookie.length > 0) continue;
    const result = resultOf(done.operation.result, done.controls);
    // Which entries come before a size limit is the server's choice; how many, is not.
    const cut = result.code === RESULT_CODE.sizeLimitExceeded;
    return {
      ...result,
      entries: cut ? {} : entries,
      ...(cut && { count }),
      ...(orderedBy !== undefined && { order }),
      ...(pageSize !== undefined && { pages: pages.filter((size, n) => n === 0 || size > 0) }),
    };
  }
}

/** Types of the vocabulary whose values are names. */
const NAMES = new Set([
  'seeAlso',
  'manager',
  'member',
  'entryDN',
  'creatorsName',
  'modifiersName',
  'subschemaSubentry',
  'aliasedObjectName',
]);
const TYPE_NAMES: Readonly<Record<string, string>> = { commonname: 'cn', '2.5.4.3': 'cn', surname: 'sn' };

/**
 * A name in one of the spellings that RFC 4514 allows: which characters a server escapes and how (§2.4), and how it writes a type's
 * name (§2.3) and orders the parts of an RDN (§2.2), is its own affair. Letters and spaces of values stay.
 */
export function sameName(dn: string): string {
  try {
    const rdns = parseDn(dn).map((rdn) =>
      rdn
        .map(({ type, value }) => ({ type: TYPE_NAMES[type.toLowerCase()] ?? type.toLowerCase(), value }))
        .sort((a, b) => (a.type < b.type ? -1 : 1)),
    );
    return formatDn(rdns);
  } catch {
    return dn;
  }
}

/** Values as sets, octet for octet; names as names. */
function content(attributes: readonly Attribute[]): Record<string, string[]> {
  const found: Record<string, string[]> = {};
  for (const { type, values } of attributes.toSorted((a, b) => (a.type < b.type ? -1 : 1))) {
    const read = NAMES.has(type)
      ? (v: Buffer): string => Buffer.from(sameName(v.toString())).toString('latin1')
      : (v: Buffer): string => v.toString('latin1');
    found[type] = values.map(read).sort();
  }
  return found;
}

function resultOf(
  { code, matchedDn }: { code: number; matchedDn: string },
  controls: readonly Control[],
): Pick<Outcome, 'code' | 'matchedDn' | 'controls'> {
  return { code, matchedDn: sameName(matchedDn), controls: readControls(controls) };
}

/** Controls of an answer with their values decoded, in the order of their OIDs. */
export function readControls(controls: readonly Control[]): { oid: string; value?: unknown }[] {
  return controls.map(readControl).sort((a, b) => (a.oid < b.oid ? -1 : 1));
}

function readControl({ oid, value }: Control): { oid: string; value?: unknown } {
  switch (oid) {
    case CONTROL.preRead:
    case CONTROL.postRead: {
      const { dn, attributes } = decodeReadResult(value);
      return { oid, value: { dn: sameName(dn), attributes: content(attributes) } };
    }
    case CONTROL.pagedResults:
      // The estimate of the total is the server's own affair (RFC 2696 §2).
      return { oid, value: { more: decodePagedResults(value).cookie.length > 0 } };
    case CONTROL.sortResponse:
      return { oid, value: decodeSortResult(value) };
    default:
      return { oid, ...(value !== undefined && { value: value.toString('latin1') }) };
  }
}

const text = (value: Buffer): string =>
  /^[\x20-\x7e]*$/.test(value.toString('latin1')) ? value.toString() : JSON.stringify(value.toString());
const list = (attributes: readonly Attribute[]): string =>
  attributes.map(({ type, values }) => `${type}: [${values.map(text).join(' | ')}]`).join('; ');

/** One line for people who read a failure. */
export function describe({ request, controls = [], pageSize }: Asked): string {
  const end = [
    ...controls.map(
      ({ oid, critical, value }) =>
        ` {${critical ? '!' : ''}${oid}${value === undefined ? '' : ` ${value.toString('hex')}`}}`,
    ),
    ...(pageSize === undefined ? [] : [` {pages of ${pageSize}}`]),
  ].join('');
  switch (request.op) {
    case 'searchRequest':
      return `search <${request.base}> ${request.scope} ${formatFilter(request.filter)} [${request.attributes.join(' ')}]${request.typesOnly ? ' types' : ''}${request.sizeLimit > 0 ? ` at most ${request.sizeLimit}` : ''}${end}`;
    case 'addRequest':
      return `add <${request.dn}> ${list(request.attributes)}${end}`;
    case 'modifyRequest':
      return `modify <${request.dn}> ${request.changes.map((c) => `${c.kind} ${list([c.attribute])}`).join('; ')}${end}`;
    case 'deleteRequest':
      return `delete <${request.dn}>${end}`;
    case 'modifyDnRequest':
      return `rename <${request.dn}> to <${request.newRdn}>${request.deleteOldRdn ? ', old name gone' : ''}${request.newSuperior === undefined ? '' : `, below <${request.newSuperior}>`}${end}`;
    case 'compareRequest':
      return `compare <${request.dn}> ${request.attribute}: ${text(request.value)}${end}`;
    case 'extendedRequest':
      return `extended ${request.oid}${end}`;
  }
}
