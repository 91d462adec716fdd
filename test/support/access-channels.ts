/**
 * Every way in which a client may learn what it should not, as data: a channel asks something, and its answer is put down word for
 * word. Two directories that differ in hidden things only must give the same answers.
 */
import { CONTROL, EXTENDED } from '../../src/ldap/control.ts';
import {
  encodeAssertion,
  encodePagedResults,
  encodeReadRequest,
  encodeSortRequest,
} from '../../src/ldap/control-values.ts';
import type { LdapClient } from '../../src/ldap/client.ts';
import { encodeEndTransactionRequest } from '../../src/ldap/extended-values.ts';
import { parseFilter } from '../../src/ldap/filter.ts';
import type { Attribute, Control, Modification } from '../../src/ldap/message.ts';
import { encodeSyncRequest } from '../../src/ldap/sync-values.ts';

const accept = Array.from({ length: 5000 }, (_, n) => n);
/** What the server makes by chance or counts: a channel of its own, which is not asked here. */
const CHANCE = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|#[0-9a-f]{6}#[0-9a-f]{3}#/g;

const text = (value: unknown): string =>
  (
    JSON.stringify(value, (_key, part: unknown) => {
      if (typeof part !== 'object' || part === null || !('type' in part) || part.type !== 'Buffer')
        return part;
      return Buffer.from((part as { data?: number[] }).data ?? []).toString('latin1');
    }) ?? ''
  ).replace(CHANCE, '?');

const attribute = (type: string, values: readonly string[]): Attribute => ({
  type,
  values: values.map((value) => Buffer.from(value)),
});
const critical = (oid: string, value?: Buffer): Control => ({
  oid,
  critical: true,
  ...(value === undefined ? {} : { value }),
});
export const asserting = (filter: string): Control =>
  critical(CONTROL.assertion, encodeAssertion(parseFilter(filter)));
export const reading = (...names: readonly string[]): Control[] => [
  critical(CONTROL.preRead, encodeReadRequest(names)),
  critical(CONTROL.postRead, encodeReadRequest(names)),
];
export const sortedBy = (name: string, reverse = false, orderingRule?: string): Control =>
  critical(
    CONTROL.sortRequest,
    encodeSortRequest([
      { attribute: name, reverse, ...(orderingRule === undefined ? {} : { orderingRule }) },
    ]),
  );
export const paged = (size: number, cookie = Buffer.alloc(0)): Control =>
  critical(CONTROL.pagedResults, encodePagedResults({ size, cookie }));
export const synchronised = (): Control =>
  critical(CONTROL.syncRequest, encodeSyncRequest({ mode: 'refreshOnly', reloadHint: false }));
export const idempotent: Control = critical(CONTROL.idempotent);

interface Asked {
  readonly base?: string;
  readonly scope?: 'base' | 'one' | 'subtree';
  readonly filter?: string;
  readonly attributes?: readonly string[];
  readonly typesOnly?: boolean;
  readonly sizeLimit?: number;
  readonly controls?: readonly Control[];
}

/** A client whose answers are put down. */
export class Asker {
  readonly #client: LdapClient;
  /** Updates go into a transaction of one, which is how hubs have to write. */
  readonly #inTransaction: boolean;

  constructor(client: LdapClient, inTransaction: boolean) {
    this.#client = client;
    this.#inTransaction = inTransaction;
  }

  async search(asked: Asked): Promise<string> {
    const { base = '', scope = 'subtree', filter = '(objectClass=*)', controls = [], ...rest } = asked;
    const stream = this.#client.search(
      { base, scope, filter: parseFilter(filter), attributes: [], ...rest },
      { accept, controls },
    );
    const found: unknown[] = [];
    try {
      for await (const { operation, controls: with_ } of stream)
        found.push([operation, with_.map(({ oid }) => oid)]);
      const done = await stream.done;
      return text([found, done.operation, done.controls.map(({ oid, value }) => [oid, value?.length])]);
    } catch (error) {
      return text([found, (error as Error).message]);
    }
  }

  compare(dn: string, type: string, value: string, controls: readonly Control[] = []): Promise<string> {
    return this.#put(this.#client.compare(dn, type, Buffer.from(value), { accept, controls }).result);
  }

  modify(
    dn: string,
    kind: Modification['kind'],
    type: string,
    values: readonly string[],
    controls: readonly Control[] = [],
  ): Promise<string> {
    return this.#update(
      controls,
      (options) => this.#client.modify(dn, [{ kind, attribute: attribute(type, values) }], options).result,
    );
  }

  add(
    dn: string,
    content: Readonly<Record<string, readonly string[]>>,
    controls: readonly Control[] = [],
  ): Promise<string> {
    const attributes = Object.entries(content).map(([type, values]) => attribute(type, values));
    return this.#update(controls, (options) => this.#client.add(dn, attributes, options).result);
  }

  delete(dn: string, controls: readonly Control[] = []): Promise<string> {
    return this.#update(controls, (options) => this.#client.delete(dn, options).result);
  }

  rename(
    dn: string,
    newRdn: string,
    newSuperior?: string,
    controls: readonly Control[] = [],
    deleteOldRdn = false,
  ): Promise<string> {
    const where = { newRdn, deleteOldRdn, ...(newSuperior === undefined ? {} : { newSuperior }) };
    return this.#update(controls, (options) => this.#client.modifyDn(dn, where, options).result);
  }

  extended(oid: string, value?: Buffer): Promise<string> {
    return this.#put(this.#client.extended(oid, value, { accept }).result);
  }

  async #update(
    controls: readonly Control[],
    send: (options: { accept: number[]; controls: readonly Control[] }) => Promise<unknown>,
  ): Promise<string> {
    if (!this.#inTransaction) return this.#put(send({ accept, controls }));
    const started = await this.#client.extended(EXTENDED.startTransaction, undefined, { accept }).result;
    const identifier = started.operation.value;
    if (identifier === undefined) return text(started.operation);
    const within = critical(CONTROL.transactionSpecification, identifier);
    const put = await this.#put(send({ accept, controls: [...controls, within] }));
    const value = encodeEndTransactionRequest({ commit: true, identifier });
    return `${put} ${await this.#put(this.#client.extended(EXTENDED.endTransaction, value, { accept }).result)}`;
  }

  async #put(result: Promise<unknown>): Promise<string> {
    try {
      const { operation, controls } = (await result) as { operation: unknown; controls: readonly Control[] };
      return text([operation, controls]);
    } catch (error) {
      return text((error as Error).message);
    }
  }
}

export interface Channel {
  /** The question without attribute and value. */
  readonly kind: string;
  readonly name: string;
  /** False for what tells nothing even where nothing is secret: the schema or the protocol has no such question. */
  readonly tells: boolean;
  ask(asker: Asker): Promise<string>;
}

/** Questions about attribute `type` of entry `dn`, whose value may be `value`; `other` is an entry beside it without the attribute. */
export function channelsOfValue(
  type: string,
  oid: string,
  dn: string,
  other: string,
  value: string,
): Channel[] {
  const channels: Channel[] = [];
  const channel = (name: string, ask: Channel['ask'], tells = true): void => {
    const kind = name.replaceAll(type, 'TYPE').replaceAll(oid, 'OID').replaceAll(value, 'VALUE');
    channels.push({
      kind: kind.replaceAll(value.slice(4, -1), 'PART').replace(`*${value.slice(-1)})`, '*END)'),
      name: `${type}: ${name}`,
      tells,
      ask,
    });
  };
  const parent = dn.slice(dn.indexOf(',') + 1);
  for (const attributes of [[], ['*'], ['+'], ['*', '+'], [type], [oid], [`@posternHub`, '@xSecretive']])
    channel(
      `read ${attributes.join()}`,
      (a) => a.search({ base: dn, attributes }),
      attributes.join() !== '+',
    );
  channel('types', (a) => a.search({ base: dn, attributes: ['*', type], typesOnly: true }), false);
  const filters: readonly (readonly [string, boolean])[] = [
    [`(${type}=${value})`, true],
    [`(${oid}=${value})`, true],
    [`(!(${type}=${value}))`, true],
    [`(${type}=*)`, false],
    [`(!(${type}=*))`, false],
    [`(${type}~=${value})`, true],
    [`(${type}>=${value})`, true],
    [`(${type}<=${value})`, true],
    [`(!(${type}>=${value}))`, true],
    [`(${type}=${value.slice(0, 4)}*${value.slice(4, -1)}*)`, true],
    [`(${type}=*${value.slice(4, -1)}*${value.slice(-1)})`, true],
    [`(${type}=*${value.slice(4, -1)}*)`, true],
    [`(!(${type}=*${value.slice(4, -1)}*))`, true],
    [`(${type}:=${value})`, true],
    [`(${type}:octetStringMatch:=${value})`, true],
    [`(${type}:2.5.13.18:=${value}\\00)`, true],
    [`(:octetStringMatch:=${value})`, true],
    [`(:octetStringOrderingMatch:=${value}\\00)`, false],
    [`(${type}:dn:octetStringMatch:=${value})`, true],
    [`(:dn:octetStringMatch:=${value})`, true],
    [`(${type};lang-en=${value})`, false],
    [`(|(cn=nothing)(${type}=${value}))`, true],
    [`(&(objectClass=*)(${type}=${value}))`, true],
    [`(&(objectClass=*)(!(${type}=${value})))`, true],
  ];
  for (const [filter, tells] of filters) {
    channel(`filter ${filter}`, (a) => a.search({ base: parent, filter, attributes: ['1.1'] }), tells);
    channel(
      `assert ${filter}`,
      (a) => a.search({ base: dn, controls: [asserting(filter)], attributes: ['1.1'] }),
      tells,
    );
  }
  const guess = `(${type}=${value})`;
  channel('assert in compare', (a) => a.compare(dn, 'cn', 'x', [asserting(guess)]));
  channel('assert in modify', (a) => a.modify(dn, 'replace', 'description', ['x'], [asserting(guess)]));
  channel('assert in rename', (a) => a.rename(dn, 'cn=renamed', undefined, [asserting(guess)]), true);
  channel('rename back', (a) => a.rename(`cn=renamed,${parent}`, dn.slice(0, dn.indexOf(','))));
  channel('assert in delete', (a) => a.delete(`cn=nothing,${parent}`, [asserting(guess)]), false);
  channel('compare', (a) => a.compare(dn, type, value));
  channel('compare elsewhere', (a) => a.compare(other, type, value), false);
  channel('size limit', (a) => a.search({ base: parent, filter: guess, sizeLimit: 1, attributes: ['1.1'] }));
  channel('page', (a) =>
    a.search({ base: parent, filter: guess, attributes: ['1.1'], controls: [paged(1)] }),
  );
  for (const reverse of [false, true])
    for (const rule of [undefined, '2.5.13.18'])
      channel(`sort ${reverse} ${rule}`, (a) =>
        a.search({ base: parent, attributes: ['1.1'], controls: [sortedBy(type, reverse, rule)] }),
      );
  channel('sync', (a) =>
    a.search({ base: parent, attributes: ['*', '+', type], controls: [synchronised()] }),
  );
  channel('sync filter', (a) =>
    a.search({ base: parent, filter: guess, attributes: ['1.1'], controls: [synchronised()] }),
  );
  channel('pre and post read', (a) => a.modify(dn, 'replace', 'description', ['y'], reading('*', '+', type)));
  channel(
    'post read of an add',
    async (a) => a.add(dn, { objectClass: ['posternHub'], posternFqdn: ['x'] }, reading('*', type).slice(1)),
    false,
  );
  channel('pre read of a rename', (a) =>
    a.rename(dn, dn.slice(0, dn.indexOf(',')), undefined, reading('*', type)),
  );
  channel('delete a value', (a) => a.modify(dn, 'delete', type, ['no such value']), false);
  channel('add beside it', (a) => a.modify(dn, 'add', type, [value]));
  channel('delete the value', (a) => a.modify(dn, 'delete', type, [value]), false);
  channel('increment', (a) => a.modify(dn, 'increment', type, ['1']), false);
  channel('into the name', (a) => a.rename(dn, `cn=x+${type}=${value}`), false);
  channel('add with a class that wants it', (a) => a.modify(dn, 'add', 'objectClass', ['xSecretive']), false);
  channel('add the entry', (a) => a.add(dn, { objectClass: ['posternHub'], [type]: [value] }), false);
  channel('search below it', (a) => a.search({ base: `cn=x,${dn}`, attributes: [type] }), false);
  return channels;
}

/** Questions about an entry `dn` that may be there or not, with an entry `cn=below` under it. */
export function channelsOfEntry(dn: string, visible: string): Channel[] {
  const channels: Channel[] = [];
  const channel = (name: string, ask: Channel['ask'], tells = true): void =>
    void channels.push({ kind: name, name, tells, ask });
  const rdn = dn.slice(0, dn.indexOf(','));
  const parent = dn.slice(dn.indexOf(',') + 1);
  const container = { objectClass: ['posternContainer'] };
  for (const scope of ['base', 'one', 'subtree'] as const) {
    channel(`search it, ${scope}`, (a) => a.search({ base: dn, scope }));
    channel(`search above it, ${scope}`, (a) => a.search({ base: parent, scope }), scope !== 'base');
    channel(`search below it, ${scope}`, (a) => a.search({ base: `cn=missing,${dn}`, scope }));
    channel(
      `search the root, ${scope}`,
      (a) => a.search({ scope, attributes: ['*', '+'] }),
      scope === 'subtree',
    );
  }
  for (const filter of [
    `(${rdn})`,
    `(entryDN=${dn})`,
    `(!(${rdn}))`,
    '(description=hidden*)',
    '(cn:dn:=below)',
  ])
    channel(`filter ${filter}`, (a) => a.search({ filter }));
  channel('size limit', (a) => a.search({ filter: `(${rdn})`, sizeLimit: 1 }));
  channel('page', (a) => a.search({ controls: [paged(1000)] }));
  channel('sort', (a) => a.search({ controls: [sortedBy('cn')] }));
  channel('sync', (a) => a.search({ controls: [synchronised()] }));
  channel('children of its parent', (a) =>
    a.search({ base: parent, scope: 'base', attributes: ['hasSubordinates'] }),
  );
  channel('compare', (a) => a.compare(dn, 'cn', 'hidden'));
  channel('compare below', (a) => a.compare(`cn=missing,${dn}`, 'cn', 'hidden'));
  channel('modify', (a) => a.modify(dn, 'replace', 'description', ['x']));
  channel('modify below', (a) => a.modify(`cn=missing,${dn}`, 'replace', 'description', ['x']));
  channel('rename', (a) => a.rename(dn, 'cn=hidden'));
  channel('delete, if it is there', (a) => a.delete(dn, [idempotent]));
  channel('delete', (a) => a.delete(dn));
  channel('delete below', (a) => a.delete(`cn=missing,${dn}`));
  channel('rename onto it', (a) => a.rename(visible, rdn, parent, [], true));
  const [visibleRdn = '', ...above] = visible.split(',');
  channel('rename away from it', (a) => a.rename(dn, visibleRdn, above.join(), [], true));
  channel('rename below it', (a) => a.rename(visible, 'cn=moved', dn));
  channel('add it', (a) => a.add(dn, container));
  channel('add it, if it is not there', (a) => a.add(dn, container, [idempotent]), false);
  channel('add below it', (a) => a.add(`cn=new,${dn}`, container), false);
  channel('add far below it', (a) => a.add(`cn=new,cn=missing,${dn}`, container), false);
  return channels;
}
