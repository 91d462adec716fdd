/** Requests as data, for tests that speak to a directory byte by byte. */
import { parseFilter } from '../../src/ldap/filter.ts';
import type { Message, Operation, SearchRequest } from '../../src/ldap/message.ts';
import type { Update } from '../../src/directory/directory.ts';
import { RawConnection } from './raw-connection.ts';
import { addition, type ServedDirectory } from './served-directory.ts';

export const BASE = 'dc=example,dc=org';
/** Every result code: none is an error for the client. */
export const accept = Array.from({ length: 5000 }, (_, n) => n);
export const raw = (served: ServedDirectory): Promise<RawConnection> =>
  RawConnection.open({ host: '127.0.0.1', port: served.listener.port });
export const codes = (messages: readonly Message[]): (number | undefined)[] =>
  messages.map(({ operation }) => ('result' in operation ? operation.result.code : undefined));
export const bind = (name: string, password: string): Operation => ({
  op: 'bindRequest',
  version: 3,
  name,
  authentication: { kind: 'simple', password: Buffer.from(password) },
});
export const search = (more: Partial<SearchRequest> = {}): SearchRequest => ({
  op: 'searchRequest',
  base: BASE,
  scope: 'subtree',
  derefAliases: 'never',
  sizeLimit: 0,
  timeLimit: 0,
  typesOnly: false,
  filter: parseFilter('(objectClass=*)'),
  attributes: [],
  ...more,
});
/** A top entry with `count` people below. */
export const many = (count: number): Update[] => [
  addition(BASE, { objectClass: ['domain'] }),
  ...Array.from({ length: count }, (_, n) =>
    addition(`cn=p${n},${BASE}`, { objectClass: ['person'], sn: [`s${n}`] }),
  ),
];
