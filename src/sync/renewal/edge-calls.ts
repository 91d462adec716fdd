/** What a hub says to an edge about the life of its credentials, over a pinned connection: calls with their answers as events of the pair. */
import { parseGeneralizedTime } from '../../asn1/time.ts';
import { PosternError } from '../../base/error.ts';
import type { Secret } from '../../base/secret.ts';
import type { Identity } from '../../certificate/identity.ts';
import type { HubEvent } from '../../credential/lifecycle/hub-pair.ts';
import {
  bindVerdictOf,
  type Call,
  decodeInstallVerdict,
  encodeInstall,
  encodeRetire,
  INSTALL_EXPORTER,
  instanceControl,
  type Retire,
} from '../../credential/renewal-messages.ts';
import type { LdapClient } from '../../ldap/client.ts';
import { resultError } from '../../ldap/client-error.ts';
import { POSTERN_EXTENDED } from '../../ldap/postern-oid.ts';
import { RESULT_CODE } from '../../ldap/result-code.ts';

type Answer<T extends HubEvent['type']> = Extract<HubEvent, { type: T }>;

/** The edge's clock: it tells whole seconds, of which this is the middle. */
export async function askTime(client: LdapClient): Promise<number> {
  let answer: number | undefined;
  const rootDse = { base: '', scope: 'base', attributes: ['currentTime'], sizeLimit: 1 } as const;
  for await (const { operation } of client.search(rootDse)) {
    if (operation.op !== 'searchResultEntry') continue;
    const time = operation.attributes.find(({ type }) => type.toLowerCase() === 'currenttime')?.values[0];
    if (time !== undefined) answer = parseGeneralizedTime(time.toString('latin1'));
  }
  if (answer === undefined) throw strange('the edge does not tell its time');
  return answer + 500;
}

const REFUSALS = [RESULT_CODE.invalidCredentials, RESULT_CODE.unwillingToPerform];

/** Binds as `userName`, which is account `number` of the pair. Throws what a connection throws. */
export async function callIn(
  client: LdapClient,
  credential: { readonly userName: string; readonly number: number; readonly password: Secret },
  call: Call,
): Promise<Answer<'bound'> | Answer<'refused'>> {
  const { userName, number, password } = credential;
  const { operation, controls } = await client.bind(`cn=${userName},cn=Accounts`, password, {
    controls: [instanceControl(call)],
    accept: REFUSALS,
  });
  const verdict = bindVerdictOf(controls);
  if (operation.result.code !== RESULT_CODE.success) {
    const said = verdict?.outcome;
    const code = said === 'two-instances' || said === 'not-admitted' ? said : 'refused';
    return { type: 'refused', number, code };
  }
  if (verdict === undefined) throw strange('the edge does not count calls');
  const { outcome, highest } = verdict;
  if (outcome !== 'ok' && outcome !== 'who-am-i-only' && outcome !== 'reused')
    throw strange('the edge says yes and no to a bind');
  return { type: 'bound', number, outcome, highest };
}

const NOT_SERVED = [RESULT_CODE.unwillingToPerform, RESULT_CODE.protocolError];
/** "credential.invalid: ...": what is wrong with the record. */
const CODED = /^[a-z]+\.[a-z-]+: /;

/** Hands over a record by a request that the hub's key signs for this very TLS session. */
export async function handOver(
  client: LdapClient,
  number: number,
  record: Buffer,
  call: Call,
  hub: Identity,
): Promise<Answer<'installed'> | Answer<'install-refused'>> {
  const { label, length } = INSTALL_EXPORTER;
  const exporter = client.exportKeyingMaterial(length, label);
  if (exporter === undefined) throw strange('a record is handed over inside TLS only');
  const request = encodeInstall({ ...call, record }, exporter, hub);
  const { operation } = await client.extended(POSTERN_EXTENDED.installCredential, request, {
    accept: NOT_SERVED,
  }).result;
  const { code, diagnostic } = operation.result;
  if (code !== RESULT_CODE.success) {
    if (CODED.test(diagnostic)) throw resultError(operation.result, 'handing over a credential');
    // Hubs that are not pinned there are told that there is no such operation.
    return { type: 'install-refused', number, code: 'not-admitted', highest: -1 };
  }
  const { outcome, highest } = decodeInstallVerdict(operation.value);
  return outcome === 'installed' || outcome === 'recovered'
    ? { type: 'installed', number, counted: outcome === 'recovered' }
    : { type: 'install-refused', number, code: outcome, highest };
}

/** Deletes an account of the pair on the edge, or ends the pair. Success means that it is so. */
export async function retire(client: LdapClient, what: Retire): Promise<void> {
  await client.extended(POSTERN_EXTENDED.retireCredential, encodeRetire(what)).result;
}

function strange(message: string): PosternError {
  return new PosternError('ldap.protocol', message, {
    hint: 'is the same version of the product on the edge?',
  });
}
