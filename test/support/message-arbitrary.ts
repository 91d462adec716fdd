/** Arbitrary LDAP messages of every kind, for property tests. */
import fc from 'fast-check';
import type { Attribute, Control, Filter, LdapResult, Message, Operation } from '../../src/ldap/message.ts';

const text = fc.string({ unit: 'binary', maxLength: 40 });
const longText = fc.oneof(
  { weight: 9, arbitrary: text },
  { weight: 1, arbitrary: fc.string({ minLength: 120, maxLength: 300 }) },
);
/** Now and then long enough for two and three length octets. */
export const octets: fc.Arbitrary<Buffer> = fc
  .oneof(
    { weight: 20, arbitrary: fc.uint8Array({ maxLength: 30 }) },
    { weight: 2, arbitrary: fc.uint8Array({ minLength: 120, maxLength: 300, size: 'max' }) },
    { weight: 1, arbitrary: fc.nat(70_000).map((length) => new Uint8Array(length).fill(0x5a)) },
  )
  .map((bytes) => Buffer.from(bytes));
const oid = fc.array(fc.nat(99_999), { minLength: 1, maxLength: 8 }).map((arcs) => `1.3.${arcs.join('.')}`);
const maxInt = fc.oneof(fc.nat(200), fc.integer({ min: 0, max: 2_147_483_647 }));
const list = <T>(item: fc.Arbitrary<T>): fc.Arbitrary<T[]> => fc.array(item, { maxLength: 5 });

const attribute: fc.Arbitrary<Attribute> = fc.record({ type: text, values: list(octets) });
const control: fc.Arbitrary<Control> = fc.record(
  { oid, critical: fc.boolean(), value: octets },
  { requiredKeys: ['oid', 'critical'] },
);
const result: fc.Arbitrary<LdapResult> = fc.record(
  {
    code: maxInt,
    matchedDn: text,
    diagnostic: longText,
    referrals: fc.array(text, { minLength: 1, maxLength: 3 }),
  },
  { requiredKeys: ['code', 'matchedDn', 'diagnostic'] },
);

/** `name` and `value` say what attribute descriptions and assertion values look like. */
export function arbitraryFilter(
  name: fc.Arbitrary<string>,
  value: fc.Arbitrary<Buffer>,
): fc.Arbitrary<Filter> {
  const substrings = fc
    .record(
      {
        kind: fc.constant('substrings' as const),
        attribute: name,
        initial: value,
        any: list(value),
        final: value,
      },
      { requiredKeys: ['kind', 'attribute', 'any'] },
    )
    .filter((filter) => filter.initial !== undefined || filter.final !== undefined || filter.any.length > 0);
  const extensible = fc
    .record(
      {
        kind: fc.constant('extensible' as const),
        matchingRule: name,
        attribute: name,
        value,
        dnAttributes: fc.boolean(),
      },
      { requiredKeys: ['kind', 'value', 'dnAttributes'] },
    )
    .filter((filter) => filter.matchingRule !== undefined || filter.attribute !== undefined);
  const { filter } = fc.letrec<{ filter: Filter }>((tie) => ({
    filter: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      fc.record({ kind: fc.constant('present' as const), attribute: name }),
      fc.record({
        kind: fc.constantFrom(
          'equality' as const,
          'greaterOrEqual' as const,
          'lessOrEqual' as const,
          'approx' as const,
        ),
        attribute: name,
        value,
      }),
      substrings,
      extensible,
      fc.record({
        kind: fc.constantFrom('and' as const, 'or' as const),
        filters: fc.array(tie('filter'), { maxLength: 3 }),
      }),
      fc.record({ kind: fc.constant('not' as const), filter: tie('filter') }),
    ),
  }));
  return filter;
}

const PLAIN = [
  'searchResultDone',
  'modifyResponse',
  'addResponse',
  'deleteResponse',
  'modifyDnResponse',
  'compareResponse',
] as const;

const op = <T extends string>(name: T): fc.Arbitrary<T> => fc.constant(name);

/** One arbitrary for each kind of operation. */
export const OPERATIONS: { readonly [K in Operation['op']]: fc.Arbitrary<Extract<Operation, { op: K }>> } = {
  bindRequest: fc.record({
    op: op('bindRequest'),
    version: fc.integer({ min: 1, max: 127 }),
    name: text,
    authentication: fc.oneof(
      fc.record({ kind: op('simple'), password: octets }),
      fc.record(
        { kind: op('sasl'), mechanism: text, credentials: octets },
        { requiredKeys: ['kind', 'mechanism'] },
      ),
    ),
  }),
  unbindRequest: fc.record({ op: op('unbindRequest') }),
  searchRequest: fc.record({
    op: op('searchRequest'),
    base: text,
    scope: fc.constantFrom('base', 'one', 'subtree'),
    derefAliases: fc.constantFrom('never', 'searching', 'findingBase', 'always'),
    sizeLimit: maxInt,
    timeLimit: maxInt,
    typesOnly: fc.boolean(),
    filter: arbitraryFilter(text, octets),
    attributes: list(text),
  }),
  modifyRequest: fc.record({
    op: op('modifyRequest'),
    dn: text,
    changes: list(fc.record({ kind: fc.constantFrom('add', 'delete', 'replace', 'increment'), attribute })),
  }),
  addRequest: fc.record({ op: op('addRequest'), dn: longText, attributes: list(attribute) }),
  deleteRequest: fc.record({ op: op('deleteRequest'), dn: longText }),
  modifyDnRequest: fc.record(
    { op: op('modifyDnRequest'), dn: text, newRdn: text, deleteOldRdn: fc.boolean(), newSuperior: text },
    { requiredKeys: ['op', 'dn', 'newRdn', 'deleteOldRdn'] },
  ),
  compareRequest: fc.record({ op: op('compareRequest'), dn: text, attribute: text, value: octets }),
  abandonRequest: fc.record({ op: op('abandonRequest'), messageId: maxInt }),
  extendedRequest: fc.record(
    { op: op('extendedRequest'), oid, value: octets },
    { requiredKeys: ['op', 'oid'] },
  ),
  bindResponse: fc.record(
    { op: op('bindResponse'), result, serverSaslCredentials: octets },
    { requiredKeys: ['op', 'result'] },
  ),
  searchResultEntry: fc.record({ op: op('searchResultEntry'), dn: longText, attributes: list(attribute) }),
  searchResultReference: fc.record({ op: op('searchResultReference'), urls: list(text) }),
  ...(Object.fromEntries(PLAIN.map((name) => [name, fc.record({ op: op(name), result })])) as {
    [K in (typeof PLAIN)[number]]: fc.Arbitrary<Extract<Operation, { op: K }>>;
  }),
  extendedResponse: fc.record(
    { op: op('extendedResponse'), result, oid, value: octets },
    { requiredKeys: ['op', 'result'] },
  ),
  intermediateResponse: fc.record(
    { op: op('intermediateResponse'), oid, value: octets },
    { requiredKeys: ['op'] },
  ),
};

export function messageOf(operation: fc.Arbitrary<Operation>): fc.Arbitrary<Message> {
  return fc.record({ messageId: maxInt, operation, controls: fc.array(control, { maxLength: 3 }) });
}

export const anyMessage: fc.Arbitrary<Message> = messageOf(
  fc.oneof(...(Object.values(OPERATIONS) as fc.Arbitrary<Operation>[])),
);
