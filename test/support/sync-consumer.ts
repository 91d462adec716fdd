/** A consumer of content synchronisation (RFC 4533) that believes every message, and what a search shows, in the same form. */
import type { LdapClient } from '../../src/ldap/client.ts';
import type { SearchItem, SearchStream } from '../../src/ldap/client-search.ts';
import { CONTROL, findControl, INTERMEDIATE } from '../../src/ldap/control.ts';
import { parseFilter } from '../../src/ldap/filter.ts';
import type { Filter, Scope } from '../../src/ldap/message.ts';
import {
  decodeSyncDone,
  decodeSyncInfo,
  decodeSyncState,
  encodeSyncRequest,
} from '../../src/ldap/sync-values.ts';
import { ask } from './directory-questions.ts';

const BASE = 'dc=example,dc=org';
const accept = Array.from({ length: 5000 }, (_, n) => n);

/** A consumer by the letter of RFC 4533 §3: keeps content by UUID and the last cookie. */
export class Consumer {
  readonly content = new Map<string, { dn: string; values: string }>();
  cookie: Buffer | undefined;
  /** What the last refresh consisted of. */
  adds = 0;
  presents = 0;
  deletes = 0;
  refreshDone = 0;
  #mentioned = new Set<string>();

  take(item: SearchItem): void {
    const { operation, controls } = item;
    if (operation.op === 'searchResultEntry') {
      const state = decodeSyncState(findControl(controls, CONTROL.syncState)?.value);
      const key = state.entryUuid.toString('hex');
      if (state.state === 'delete') {
        this.content.delete(key);
        this.deletes++;
      } else {
        const values = operation.attributes
          .map((a) => `${a.type}=${a.values.map(String).sort().join('|')}`)
          .sort();
        this.content.set(key, { dn: operation.dn, values: values.join(';') });
        this.adds++;
      }
      this.#mentioned.add(key);
      this.cookie = state.cookie ?? this.cookie;
      return;
    }
    if (operation.op !== 'intermediateResponse' || operation.oid !== INTERMEDIATE.syncInfo) return;
    const info = decodeSyncInfo(operation.value);
    if (info.kind === 'idSet') {
      for (const uuid of info.entryUuids) {
        const key = uuid.toString('hex');
        if (info.refreshDeletes) this.content.delete(key);
        else this.#mentioned.add(key);
        if (info.refreshDeletes) this.deletes++;
        else this.presents++;
      }
    } else if (info.kind !== 'newCookie') {
      if (info.kind === 'refreshPresent') this.#forgetOthers();
      if (info.refreshDone) this.refreshDone++;
    }
    this.cookie = info.cookie ?? this.cookie;
  }

  begin(): void {
    this.#mentioned = new Set();
    this.adds = this.presents = this.deletes = this.refreshDone = 0;
  }

  end(value: Buffer | undefined): void {
    const done = decodeSyncDone(value);
    if (!done.refreshDeletes) this.#forgetOthers();
    this.cookie = done.cookie ?? this.cookie;
  }

  #forgetOthers(): void {
    for (const key of this.content.keys()) if (!this.#mentioned.has(key)) this.content.delete(key);
  }

  get state(): Record<string, string> {
    return Object.fromEntries([...this.content.values()].map(({ dn, values }) => [dn, values]));
  }
}

export interface Wish {
  readonly filter?: Filter;
  readonly base?: string;
  readonly scope?: Scope;
}

export const request = (mode: 'refreshOnly' | 'refreshAndPersist', cookie: Buffer | undefined) => ({
  controls: [
    {
      oid: CONTROL.syncRequest,
      critical: true,
      value: encodeSyncRequest({ mode, reloadHint: false, ...(cookie !== undefined && { cookie }) }),
    },
  ],
  accept,
});

export async function refresh(client: LdapClient, consumer: Consumer, wish: Wish = {}): Promise<number> {
  consumer.begin();
  const stream = client.search({ base: BASE, ...wish }, request('refreshOnly', consumer.cookie));
  for await (const item of stream) consumer.take(item);
  const { operation, controls } = await stream.done;
  if (operation.result.code === 0) consumer.end(findControl(controls, CONTROL.syncDone)?.value);
  return operation.result.code;
}

/** What a search shows, in the consumer's form. */
export async function shown(
  client: LdapClient,
  { filter = parseFilter('(objectClass=*)'), base = BASE, scope = 'subtree' }: Wish = {},
): Promise<Record<string, string>> {
  const { entries } = await ask(client, { base, filter, scope });
  return Object.fromEntries(
    Object.entries(entries).map(([dn, attributes]) => [
      dn,
      Object.entries(attributes)
        .map(([type, values]) => `${type}=${values.join('|')}`)
        .sort()
        .join(';'),
    ]),
  );
}

/** A consumer that stays: follows refreshAndPersist on a connection of its own until it is stopped or ended by the provider. */
export class Follower {
  readonly consumer: Consumer;
  readonly stream: SearchStream;
  /** Result code of the end; undefined while it lasts. */
  code: number | undefined;
  readonly ended: Promise<void>;
  readonly #client: LdapClient;

  constructor(client: LdapClient, consumer: Consumer, wish: Wish = {}) {
    this.#client = client;
    this.consumer = consumer;
    consumer.begin();
    this.stream = client.search({ base: BASE, ...wish }, request('refreshAndPersist', consumer.cookie));
    this.ended = this.#follow();
  }

  async #follow(): Promise<void> {
    try {
      for await (const item of this.stream) this.consumer.take(item);
      this.code = (await this.stream.done).operation.result.code;
    } catch {
      this.code = -1;
    }
  }

  async stop(): Promise<void> {
    this.#client.destroy();
    await this.ended;
  }
}
