/**
 * The examples that the RFCs give themselves, as requests: what must be there before, what is asked, and what the document says comes out. Names
 * of organisations are put below our suffix, types that no schema here has are replaced by one of the same syntax.
 */
import { CONTROL, EXTENDED } from '../../../src/ldap/control.ts';
import { encodeAssertion, encodeReadRequest, encodeSortRequest } from '../../../src/ldap/control-values.ts';
import { encodeCancelRequest } from '../../../src/ldap/extended-values.ts';
import { parseFilter } from '../../../src/ldap/filter.ts';
import type { Control } from '../../../src/ldap/message.ts';
import { add, compare, extended, modify, person, remove, rename, search } from '../differential/request.ts';
import type { Asked } from '../differential/run.ts';
import { HOME } from '../differential/vocabulary.ts';

export interface PublishedCase {
  readonly clause: string;
  readonly given?: readonly Asked[];
  readonly asked: Asked;
  readonly code?: number;
  /** RDNs of the entries found, below the case's own entry. */
  readonly finds?: readonly string[];
  readonly matchedDn?: string;
  /** slapd is known to do something else: `differences.ts` says what, or the remark does. */
  readonly slapdDiffers?: string;
}

export const at = (rdn: string): string => `${rdn},${HOME}`;
const people = (...names: string[]): Asked[] => names.map((name) => person(name));
export const found = (filter: string, ...controls: Control[]): Asked =>
  search(filter, { base: HOME, scope: 'one' }, ...controls);
const assertion = (filter: string): Control => ({
  oid: CONTROL.assertion,
  critical: true,
  value: encodeAssertion(parseFilter(filter)),
});
/** Protocol, models and extensions. */
export const PROTOCOL_CASES: readonly PublishedCase[] = [
  // --- protocol ---
  {
    clause: 'RFC 4511 §4.1.9 matchedDN names the last entry that was there',
    asked: search('(cn=*)', { base: at('cn=x,ou=y') }),
    code: 32,
    matchedDn: HOME,
  },
  {
    clause: 'RFC 4511 §4.5.1.7 an unknown attribute makes the filter Undefined, not an error',
    given: people('x'),
    asked: found('(|(noSuchType=1)(cn=x))'),
    finds: ['cn=x'],
  },
  {
    clause: 'RFC 4511 §4.5.1.7 Not of Undefined is Undefined',
    given: people('x'),
    asked: found('(!(noSuchType=1))'),
    finds: [],
  },
  {
    clause: 'RFC 4511 §4.5.1.8 1.1 with others is ignored',
    given: people('x'),
    asked: search('(cn=x)', { base: HOME, attributes: ['1.1', 'sn'] }),
    finds: ['cn=x'],
  },
  {
    clause: 'RFC 4511 §4.5.2 size limit',
    given: people('a', 'b', 'c'),
    asked: search('(sn=*)', { base: HOME, scope: 'one', sizeLimit: 4 }),
    finds: ['cn=a', 'cn=b', 'cn=c'],
  },
  {
    clause: 'RFC 4511 §4.6 several modifications are one atomic change',
    given: people('x'),
    asked: modify(at('cn=x'), [
      ['add', 'title', 'a'],
      ['delete', 'description', 'none'],
    ]),
    code: 16,
  },
  {
    clause: 'RFC 4511 §4.6 the schema is only looked at in the end',
    given: people('x'),
    asked: modify(at('cn=x'), [
      ['delete', 'sn'],
      ['add', 'sn', 'new'],
    ]),
  },
  {
    clause: 'RFC 4511 §4.6 replacing a missing attribute by nothing',
    given: people('x'),
    asked: modify(at('cn=x'), [['replace', 'title']]),
  },
  {
    clause: 'RFC 4511 §4.6 deleting a missing attribute',
    given: people('x'),
    asked: modify(at('cn=x'), [['delete', 'title']]),
    code: 16,
  },
  {
    clause: 'RFC 4511 §4.7 the parent must be there',
    asked: add(at('cn=x,ou=none'), { objectClass: ['device'] }),
    code: 32,
    matchedDn: HOME,
  },
  { clause: 'RFC 4511 §4.8 only leaves', given: people('x'), asked: remove(HOME), code: 66 },
  {
    clause: 'RFC 4511 §4.9 "cn=Foo Bar" renamed with deleteoldrdn false keeps the old value',
    given: [person('Foo Bar'), rename(at('cn=Foo Bar'), 'cn=Bar', { deleteOldRdn: false })],
    asked: found('(&(cn=Foo Bar)(cn=Bar))'),
    finds: ['cn=Bar'],
  },
  {
    clause: 'RFC 4511 §4.9 and with true does not',
    given: [person('Foo Bar'), rename(at('cn=Foo Bar'), 'cn=Bar')],
    asked: found('(cn=Foo Bar)'),
    finds: [],
  },
  {
    clause: 'RFC 4511 §4.9 another entry of that name',
    given: people('a', 'b'),
    asked: rename(at('cn=a'), 'cn=B'),
    code: 68,
  },
  {
    clause: 'RFC 4511 §4.10 compareTrue',
    given: people('x'),
    asked: compare(at('cn=x'), 'cn', 'X'),
    code: 6,
  },
  {
    clause: 'RFC 4511 §4.10 compareFalse',
    given: people('x'),
    asked: compare(at('cn=x'), 'cn', 'y'),
    code: 5,
  },
  {
    clause: 'RFC 4511 §4.10 no such attribute',
    given: people('x'),
    asked: compare(at('cn=x'), 'title', 'y'),
    code: 16,
  },
  { clause: 'RFC 4511 §4.12 an unknown extended operation', asked: extended('1.2.3.4'), code: 2 },
  // --- models ---
  {
    clause: 'RFC 4512 §2.5.1 values of a type without equality rule are not added one by one',
    given: [person('x', { jpegPhoto: ['\xff\xd8a'] })],
    asked: modify(at('cn=x'), [['add', 'jpegPhoto', '\xff\xd8b']]),
    code: 18,
  },
  {
    clause: 'RFC 4512 §2.5.2 a description without options finds those with',
    given: [person('x', { 'title;lang-de': ['Herr'] })],
    asked: found('(title=Herr)'),
    finds: ['cn=x'],
  },
  {
    clause: 'RFC 4512 §2.5.2 one with an option does not find those without',
    given: [person('x', { title: ['Herr'] })],
    asked: found('(title;lang-de=Herr)'),
    finds: [],
  },
  {
    clause: 'RFC 4512 §2.5.3 name matches its subtypes cn and sn',
    given: [person('x', { sn: ['Surname'] })],
    asked: found('(name=surname)'),
    finds: ['cn=x'],
  },
  {
    clause: 'RFC 4512 §2.4.2 structural classes in one chain',
    asked: person('x', { objectClass: ['person', 'device'] }),
    code: 65,
  },
  {
    clause: 'RFC 4512 §2.4.3 an auxiliary class alone is not enough',
    asked: add(at('dc=x'), { objectClass: ['dcObject'], dc: ['x'] }),
    code: 65,
  },
  {
    clause: 'RFC 4512 §3.3 objectClass matches superclasses',
    given: people('x'),
    asked: found('(objectClass=person)'),
    finds: ['cn=x'],
  },
  // --- extensions ---
  {
    clause: 'RFC 4525 §3 increment',
    given: [person('x', { testInteger: ['1000'] }), modify(at('cn=x'), [['increment', 'testInteger', '1']])],
    asked: found('(testInteger=1001)'),
    finds: ['cn=x'],
  },
  {
    clause: 'RFC 4525 §3 every value is incremented',
    given: [
      person('x', { testInteger: ['1', '-5'] }),
      modify(at('cn=x'), [['increment', 'testInteger', '-2']]),
    ],
    asked: found('(&(testInteger=-1)(testInteger=-7))'),
    finds: ['cn=x'],
  },
  {
    clause: 'RFC 4525 §3 a missing attribute',
    given: people('x'),
    asked: modify(at('cn=x'), [['increment', 'testInteger', '1']]),
    code: 16,
  },
  {
    clause: 'RFC 4525 §3 not an integer',
    given: people('x'),
    asked: modify(at('cn=x'), [['increment', 'sn', '1']]),
    code: 19,
  },
  { clause: 'RFC 4526 §2 (&) is true', given: people('x'), asked: found('(&)'), finds: ['cn=x'] },
  { clause: 'RFC 4526 §2 (|) is false', given: people('x'), asked: found('(|)'), finds: [] },
  {
    clause: 'RFC 4527 §3.1 pre-read of a delete',
    given: people('x'),
    asked: remove(at('cn=x'), {
      oid: CONTROL.preRead,
      critical: true,
      value: encodeReadRequest(['cn', 'sn']),
    }),
  },
  { clause: 'RFC 4527 §3.2 post-read of an add', asked: person('x', {}), code: 0 },
  {
    clause: 'RFC 4527 §4 a post-read of an increment reads the new value',
    given: [person('x', { testCount: ['7'] })],
    asked: modify(at('cn=x'), [['increment', 'testCount', '1']], {
      oid: CONTROL.postRead,
      critical: true,
      value: encodeReadRequest(['testCount']),
    }),
  },
  {
    clause: 'RFC 4528 §3 an assertion that holds',
    given: people('x'),
    asked: modify(at('cn=x'), [['replace', 'sn', 'y']], assertion('(sn=S)')),
  },
  {
    clause: 'RFC 4528 §3 one that does not',
    given: people('x'),
    asked: modify(at('cn=x'), [['replace', 'sn', 'y']], assertion('(sn=T)')),
    code: 122,
  },
  {
    clause: 'RFC 4528 §3 one that is Undefined',
    given: people('x'),
    asked: remove(at('cn=x'), assertion('(noSuchType=1)')),
    code: 122,
  },
  {
    clause: 'RFC 4529 §3 @person',
    given: [person('x', { mail: ['x@y'] })],
    asked: search('(cn=x)', { base: HOME, attributes: ['@person'] }),
    finds: ['cn=x'],
  },
  {
    clause: 'RFC 4529 §3 an unknown class is nothing',
    given: people('x'),
    asked: search('(cn=x)', { base: HOME, attributes: ['@noSuchClass'] }),
    finds: ['cn=x'],
  },
  {
    clause: 'RFC 4530 §2.1 every entry has one, and clients cannot set it',
    given: people('x'),
    asked: found('(&(entryUUID=*)(cn=x))'),
    finds: ['cn=x'],
  },
  {
    clause: 'RFC 4530 §2.2 597ae2f6-16a6-1027-98f4-d28b5365dc14 is nobody here',
    given: people('x'),
    asked: found('(entryUUID=597ae2f6-16a6-1027-98f4-d28b5365dc14)'),
    finds: [],
  },
  { clause: 'RFC 4532 §2 who am I', asked: extended(EXTENDED.whoAmI) },
  {
    clause: 'RFC 2696 §4 five entries in pages of three',
    given: people('a', 'b', 'c', 'd', 'e'),
    asked: { ...found('(cn=*)'), pageSize: 3 },
    finds: ['cn=a', 'cn=b', 'cn=c', 'cn=d', 'cn=e'],
  },
  {
    clause: 'RFC 2891 §1.1 by a rule, reversed',
    given: [person('a', { testCount: ['9'] }), person('b', { testCount: ['10'] }), person('c')],
    asked: {
      ...search(
        '(sn=*)',
        { base: HOME, scope: 'one', attributes: ['testCount'] },
        {
          oid: CONTROL.sortRequest,
          critical: true,
          value: encodeSortRequest([{ attribute: 'testCount', orderingRule: '2.5.13.15', reverse: true }]),
        },
      ),
      orderedBy: 'testCount',
    },
    finds: ['cn=a', 'cn=b', 'cn=c'],
  },
  {
    clause: 'RFC 3909 §2.3 nothing to cancel',
    asked: extended(EXTENDED.cancel, encodeCancelRequest(100_000)),
    code: 119,
  },
  {
    clause: 'RFC 4512 §5.1 the root DSE tells the version',
    asked: search('(objectClass=*)', {
      base: '',
      scope: 'base',
      attributes: ['supportedLDAPVersion', 'subschemaSubentry', 'namingContexts'],
    }),
    finds: ['*'],
  },
];
