/** The same searches sorted by slapd (overlay sssvlv) and here: the same order, the same pages. */
import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { critical, found } from '../../../test/support/directory-answers.ts';
import { BASE, CONTAINERS, PEOPLE } from '../../../test/support/directory-questions.ts';
import { addition, type ServedDirectory, serveDirectory } from '../../../test/support/served-directory.ts';
import { type Slapd, startSlapd } from '../../../test/support/slapd.ts';
import { systemClock } from '../../base/clock.ts';
import { Secret } from '../../base/secret.ts';
import { connectLdap, type LdapClient } from '../../ldap/client.ts';
import { CONTROL } from '../../ldap/control.ts';
import {
  decodePagedResults,
  encodePagedResults,
  encodeSortRequest,
  type SortKey,
} from '../../ldap/control-values.ts';
import { parseFilter } from '../../ldap/filter.ts';

let slapd: Slapd;
let served: ServedDirectory;
let theirs: LdapClient;
let ours: LdapClient;

beforeAll(async () => {
  slapd = await startSlapd({
    suffix: BASE,
    ldif: `dn: ${BASE}\nobjectClass: domain\ndc: example\n`,
    globalConfig: ['moduleload sssvlv'],
    databaseConfig: ['overlay sssvlv', 'sssvlv-maxkeys 8'],
  });
  served = await serveDirectory({ entries: [addition(BASE, { objectClass: ['domain'], dc: ['example'] })] });
  theirs = await connectLdap({ target: slapd.url, clock: systemClock });
  await theirs.bind(slapd.adminDn, new Secret(slapd.adminPassword));
  ours = await served.client();
  for (const { dn, attributes } of [...CONTAINERS, ...PEOPLE]) {
    const list = Object.entries(attributes).map(([type, values]) => ({
      type,
      values: values.map((v) => Buffer.from(v)),
    }));
    await Promise.all([theirs, ours].map((client) => client.add(dn, list).result));
  }
});
afterAll(async () => {
  theirs?.destroy();
  await served?.[Symbol.asyncDispose]();
  await slapd?.[Symbol.asyncDispose]();
});

const asked = { base: BASE, filter: parseFilter('(objectClass=person)'), attributes: ['1.1'] };
const sorting = (keys: readonly SortKey[]) => critical(CONTROL.sortRequest, encodeSortRequest(keys));
const key = fc.record({
  attribute: fc.constantFrom('cn', 'sn', 'description', 'employeeNumber', 'title', 'ou'),
  orderingRule: fc.constantFrom('caseIgnoreOrderingMatch', '2.5.13.3'),
  reverse: fc.boolean(),
});
/** Tells apart what the others leave equal. */
const last: SortKey = { attribute: 'uid', orderingRule: 'caseIgnoreOrderingMatch', reverse: false };

it('orders', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(key, { maxLength: 3, selector: ({ attribute }) => attribute }),
      async (keys) => {
        const controls = [sorting([...keys, last])];
        const [their, our] = await Promise.all([theirs, ours].map((one) => found(one, asked, controls)));
        expect(our?.names).toHaveLength(PEOPLE.length);
        expect({ keys, ...pick(our) }).toEqual({ keys, ...pick(their) });
      },
    ),
    { numRuns: 60 },
  );
});

it('pages of an order', async () => {
  const keys: SortKey[] = [{ ...last, attribute: 'sn', reverse: true }, last];
  const paged = async (client: LdapClient): Promise<readonly (readonly string[])[]> => {
    const pages: (readonly string[])[] = [];
    let cookie = Buffer.alloc(0);
    do {
      const page = critical(CONTROL.pagedResults, encodePagedResults({ size: 7, cookie }));
      const got = await found(client, asked, [sorting(keys), page]);
      pages.push(got.names);
      const control = got.controls.find(({ oid }) => oid === CONTROL.pagedResults);
      cookie = Buffer.from(decodePagedResults(control?.value).cookie);
    } while (cookie.length > 0);
    return pages;
  };
  expect(await paged(ours)).toEqual(await paged(theirs));
});

function pick(answer: Awaited<ReturnType<typeof found>> | undefined) {
  return { result: answer?.result, names: answer?.names };
}
