/** The actions that the life cycle of one pair asks for, each with its result as an event. All of them may be done twice. Holds no state. */
import { describeError, isPosternError, PosternError } from '../../base/error.ts';
import type { Log } from '../../base/log.ts';
import { formatAccountName } from '../../credential/account-name.ts';
import { type HubNode, openOwnCredential } from '../../credential/issue.ts';
import type { HubAction, HubEvent } from '../../credential/lifecycle/hub-pair.ts';
import type { LdapClient } from '../../ldap/client.ts';
import { resultCodeOf } from '../../ldap/client-error.ts';
import type { SubscribedEdge } from '../../subscription/trust-state.ts';
import type { CredentialRecords } from './credential-records.ts';
import { askTime, callIn, handOver, retire } from './edge-calls.ts';
import type { EdgeVisit } from './edge-visit.ts';

export interface PairActionsOptions {
  readonly hub: HubNode;
  /** The edge as this hub knows it now. Throws `subscription.unknown`. */
  readonly edge: () => SubscribedEdge;
  readonly records: CredentialRecords;
  readonly log: Log;
  /** A record for the edge was written, or taken away: the next push brings it. */
  readonly onPublished: () => void;
}

type Action<T extends HubAction['type']> = Extract<HubAction, { type: T }>;

export class PairActions {
  readonly #options: PairActionsOptions;

  constructor(options: PairActionsOptions) {
    this.#options = options;
  }

  async perform(action: HubAction, visit: EdgeVisit): Promise<HubEvent | undefined> {
    try {
      return await this.#do(action, visit);
    } catch (error) {
      if (!isPosternError(error)) throw error;
      const local = action.type === 'keep' || action.type === 'publish' || action.type === 'withdraw';
      const called = action.type === 'contact' || action.type === 'bind';
      if (local || (!called && resultCodeOf(error) !== undefined)) return failed(error);
      visit.failure ??= error;
      return { type: 'unreachable', reason: describeError(error) };
    }
  }

  async #do(action: HubAction, visit: EdgeVisit): Promise<HubEvent | undefined> {
    const { records, edge, log } = this.#options;
    switch (action.type) {
      case 'contact':
        return { type: 'contacted', edgeNow: await askTime(await visit.connected()) };
      case 'keep': {
        const { number } = action;
        const window = await records.keep(edge(), number, action.window);
        log.info('a credential is there', {
          account: this.#account(number),
          expires: new Date(window.expiresAt),
        });
        return { type: 'kept', number, window };
      }
      case 'publish':
        await records.publish(edge(), action.number);
        this.#wrote(visit);
        return undefined;
      case 'bind':
        return this.#bind(action, visit);
      case 'prove':
        return this.#prove(action, visit);
      case 'install':
        return this.#install(action, visit);
      case 'delete':
        await retire(visit.sessionClient, { action: 'delete', number: action.number });
        log.info('a credential is deleted on the edge', { account: this.#account(action.number) });
        return { type: 'deleted', number: action.number };
      case 'withdraw':
        await records.withdraw(edge().name, action.number);
        this.#wrote(visit);
        return undefined;
      case 'leave':
        await retire(visit.sessionClient, { action: 'leave' });
        return { type: 'left' };
      case 'warn':
        log.warn('the life of a credential', { edge: edge().name, code: action.code, why: action.why });
        return undefined;
    }
  }

  async #bind(action: Action<'bind'>, visit: EdgeVisit): Promise<HubEvent> {
    const client = await visit.toBind();
    const answer = await this.#call(client, action, visit);
    const { number } = action;
    if (answer.type !== 'bound') client.destroy();
    else visit.enter({ client, userName: this.#account(number), number, whole: answer.outcome === 'ok' });
    return answer;
  }

  async #prove(action: Action<'prove'>, visit: EdgeVisit): Promise<HubEvent> {
    const client = await visit.toBind();
    try {
      const answer = await this.#call(client, action, visit);
      if (answer.type === 'bound') await client.whoAmI();
      return answer;
    } finally {
      client.unbind();
    }
  }

  async #install(action: Action<'install'>, visit: EdgeVisit): Promise<HubEvent> {
    const { records, edge, hub } = this.#options;
    const { number, instance, counter } = action;
    const record = await records.forEdge(edge(), number);
    const client = action.session === undefined ? await visit.connected() : visit.sessionClient;
    return handOver(client, number, record, { instance, counter }, hub.identity);
  }

  async #call(
    client: LdapClient,
    { number, instance, counter }: Action<'bind' | 'prove'>,
    visit: EdgeVisit,
  ): Promise<HubEvent> {
    const { records, hub, edge } = this.#options;
    const { name, establishedAt } = edge();
    const userName = this.#account(number);
    const credential = await records.find(name, number);
    if (credential === undefined)
      return { type: 'failed', reason: `the record of ${userName} is not in the configuration directory` };
    const password = await openOwnCredential(credential, hub);
    try {
      const answer = await callIn(client, { userName, number, password }, { instance, counter });
      if (answer.type !== 'refused' || establishedAt !== undefined) return answer;
    } finally {
      password.erase();
    }
    // Before the edge has taken the first one there is nothing to recover: it is on its way, or the file was not used in time.
    visit.failure = new PosternError('credential.invalid', `edge ${name} does not accept ${userName} yet`, {
      hint: 'compare the clocks of hub and edge; if the subscription file has expired before the first load, make a new one and import it',
      fields: { edge: name },
    });
    return { type: 'unreachable', reason: visit.failure.message };
  }

  #wrote(visit: EdgeVisit): void {
    visit.wrote = true;
    this.#options.onPublished();
  }

  #account(number: number): string {
    const { hub, edge } = this.#options;
    return formatAccountName({ kind: 'esra', edge: edge().name, hub: hub.name, number });
  }
}

/** Something here does not work. Throws what is no error of ours. */
export function failed(error: unknown): HubEvent {
  if (!isPosternError(error)) throw error;
  return { type: 'failed', reason: describeError(error) };
}
