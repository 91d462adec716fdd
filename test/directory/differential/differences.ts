/**
 * Where we answer differently from slapd on purpose: all of it, each with the clause that says so. `explains` recognises it in generated
 * cases; `witnesses` make it happen, so a difference that no longer exists is found.
 */
import { CONTROL } from '../../../src/ldap/control.ts';
import { decodeReadRequest, encodeReadRequest, encodeSortRequest } from '../../../src/ldap/control-values.ts';
import type { Control, Filter } from '../../../src/ldap/message.ts';
import type { Planned } from './generate-transaction.ts';
import type { Both } from './pair.ts';
import { add, compare, modify, person, remove, rename, search } from './request.ts';
import type { Asked, Outcome } from './run.ts';
import type { TransactionOutcome } from './transaction.ts';
import { HOME } from './vocabulary.ts';

export interface Difference {
  /** What we do. */
  readonly name: string;
  readonly clause: string;
  /** What slapd does instead. */
  readonly slapd: string;
  explains(asked: Asked, both: Both<Outcome>): boolean;
  explainsTransaction?(planned: Planned, both: Both<TransactionOutcome>): boolean;
  readonly witnesses: readonly Witness[];
}

export interface Witness {
  /** Carried out on both before, with the same results. */
  readonly given: readonly Asked[];
  /** One request, or several in a transaction. */
  readonly asked: Asked | readonly Asked[];
  /** Code, and for searches number of entries: of slapd and ours. */
  readonly slapd: readonly number[];
  readonly ours: readonly number[];
}

const codes = ({ slapd, ours }: Both<Outcome>): string => `${slapd.code} ${ours.code}`;
const never = (): boolean => false;
const ANN = `cn=Ann,${HOME}`;

function readOf({ controls = [] }: Asked): readonly Control[] {
  return controls.filter(({ oid }) => oid === CONTROL.preRead || oid === CONTROL.postRead);
}

/** Some part of a filter is true of `test`. */
function has(filter: Filter, test: (leaf: Filter) => boolean): boolean {
  if (filter.kind === 'and' || filter.kind === 'or') return filter.filters.some((one) => has(one, test));
  if (filter.kind === 'not') return has(filter.filter, test);
  return test(filter);
}
export const filterHas = ({ request }: Asked, test: (leaf: Filter) => boolean): boolean =>
  request.op === 'searchRequest' && has(request.filter, test);

const isSorted = ({ controls = [] }: Asked): boolean =>
  controls.some(({ oid }) => oid === CONTROL.sortRequest);
const sortedBy = (attribute: string, critical: boolean): Control => ({
  oid: CONTROL.sortRequest,
  critical,
  value: encodeSortRequest([{ attribute, reverse: false }]),
});

/** Of somebody with few rights: `access.test.ts` sees it occur. */
export const UNCOMPARABLE: Difference = {
  name: 'an attribute that one may not compare is as if it were not there',
  clause: 'RFC 4511 §4.1.9 ("substituted result codes to prevent unauthorized disclosures")',
  slapd: 'says insufficientAccessRights',
  explains: ({ request }, both) => request.op === 'compareRequest' && /^50 (16|122)$/.test(codes(both)),
  witnesses: [],
};

export const DIFFERENCES: readonly Difference[] = [
  {
    name: 'a new superior that is not there, a base that one may not see: matchedDN says how far the name led',
    clause: 'RFC 4511 §4.1.9',
    slapd: 'leaves matchedDN empty',
    explains: (_asked, both) =>
      codes(both) === '32 32' && both.slapd.matchedDn === '' && both.ours.matchedDn !== '',
    witnesses: [
      {
        given: [person('Ann')],
        asked: rename(ANN, 'cn=Ann', { newSuperior: `ou=missing,${HOME}` }),
        slapd: [32],
        ours: [32],
      },
    ],
  },
  {
    name: 'attributes to be read before and after an update are chosen as a search chooses them: unknown ones are passed over, @class names its attributes',
    clause: 'RFC 4527 §3.1, RFC 4511 §4.5.1.8, RFC 4529 §2',
    slapd:
      'refuses a critical control that names an unknown one (undefinedAttributeType), and takes @class for unknown',
    explains: (asked, { slapd }) =>
      slapd.code === 17 &&
      readOf(asked).some(
        ({ critical, value }) => critical && decodeReadRequest(value).includes('noSuchType'),
      ),
    witnesses: [
      {
        given: [person('Ann')],
        asked: modify(ANN, [['replace', 'sn', 'T']], {
          oid: CONTROL.postRead,
          critical: true,
          value: encodeReadRequest(['noSuchType', 'sn']),
        }),
        slapd: [17],
        ours: [0],
      },
      {
        given: [person('Ann')],
        asked: modify(ANN, [['replace', 'sn', 'T']], {
          oid: CONTROL.preRead,
          critical: true,
          value: encodeReadRequest(['@person']),
        }),
        slapd: [17],
        ours: [0],
      },
    ],
  },
  {
    name: 'the post-read copy of a renamed entry bears its name as every search returns it',
    clause: 'RFC 4527 §3.2',
    slapd: "makes the name up of the request's spelling of the parent",
    explains: ({ request }, both) => {
      const lower = (outcome: Outcome): string => JSON.stringify(outcome).toLowerCase();
      return (
        request.op === 'modifyDnRequest' && codes(both) === '0 0' && lower(both.slapd) === lower(both.ours)
      );
    },
    witnesses: [
      {
        given: [person('Ann')],
        asked: rename(
          ANN.toUpperCase(),
          'cn=Anna',
          {},
          { oid: CONTROL.postRead, critical: true, value: encodeReadRequest(['1.1']) },
        ),
        slapd: [0],
        ours: [0],
      },
    ],
  },
  {
    name: 'a second value for a single-valued naming attribute is a constraintViolation',
    clause: 'RFC 4511 appendix A.2',
    slapd: 'says namingViolation',
    explains: ({ request }, both) => request.op === 'addRequest' && codes(both) === '64 19',
    explainsTransaction: ({ updates }, { slapd, ours }) =>
      slapd.end === 64 && ours.end === 19 && updates[ours.failed ?? -1]?.request.op === 'addRequest',
    witnesses: [
      {
        given: [],
        asked: add(`employeeNumber=1,${HOME}`, {
          objectClass: ['inetOrgPerson'],
          cn: ['x'],
          sn: ['x'],
          employeeNumber: ['2'],
        }),
        slapd: [64],
        ours: [19],
      },
    ],
  },
  {
    name: 'an entry below which another was moved may be renamed',
    clause: 'RFC 4511 §4.9',
    slapd: 'fails by itself (other, without a diagnostic)',
    explains: ({ request }, both) => request.op === 'modifyDnRequest' && codes(both) === '80 0',
    witnesses: [
      {
        given: [person('Ann'), person('Bob'), rename(ANN, 'cn=Ann', { newSuperior: `cn=Bob,${HOME}` })],
        asked: rename(`cn=Bob,${HOME}`, 'cn=Carl'),
        slapd: [80],
        ours: [0],
      },
    ],
  },
  {
    name: 'taking away a value that names the entry is notAllowedOnRDN',
    clause: 'RFC 4511 §4.6',
    slapd: 'says namingViolation',
    explains: ({ request }, both) => request.op === 'modifyRequest' && codes(both) === '64 67',
    witnesses: [
      { given: [person('Ann')], asked: modify(ANN, [['replace', 'cn', 'other']]), slapd: [64], ours: [67] },
    ],
  },
  {
    name: 'a new superior is looked for before it is compared with the entry',
    clause: 'RFC 4511 §4.9 ("the name of an existing object entry")',
    slapd: 'compares the names first (unwillingToPerform)',
    explains: ({ request }, both) => request.op === 'modifyDnRequest' && /^53 (32|68)$/.test(codes(both)),
    witnesses: [
      {
        given: [person('Ann')],
        asked: rename(ANN, 'cn=Ann', { newSuperior: `cn=x,${ANN}` }),
        slapd: [53],
        ours: [32],
      },
    ],
  },
  {
    name: 'approximate match is equality',
    clause: 'RFC 4511 §4.5.1.7.6',
    slapd: 'compares the sounds of English words, and finds nothing in other scripts and punctuation',
    explains: (asked, both) => codes(both) === '0 0' && filterHas(asked, ({ kind }) => kind === 'approx'),
    witnesses: [
      {
        given: [person('Ann', { sn: ['日本語'] })],
        asked: search('(sn~=日本語)'),
        slapd: [0, 0],
        ours: [0, 1],
      },
      {
        given: [person('Ann', { sn: ['Smith'] })],
        asked: search('(sn~=Smyth)'),
        slapd: [0, 1],
        ours: [0, 0],
      },
    ],
  },
  {
    name: 'spaces in substrings: a prepared value begins and ends with one space, and two stand between its words',
    clause: 'RFC 4518 §2.6.1',
    slapd: 'takes outer spaces away and leaves one between words',
    explains: (asked, both) =>
      codes(both) === '0 0' &&
      filterHas(
        asked,
        (leaf) =>
          leaf.kind === 'substrings' &&
          [leaf.initial, ...leaf.any, leaf.final].some(
            (part) => part !== undefined && /^\s|\s$/.test(part.toString()),
          ),
      ),
    witnesses: [
      { given: [person('Ann', { title: ['x'] })], asked: search('(title= *)'), slapd: [0, 0], ours: [0, 1] },
      {
        given: [person('Ann', { title: ['odd  one'] })],
        asked: search('(title=odd * one)'),
        slapd: [0, 0],
        ours: [0, 1],
      },
    ],
  },
  {
    name: 'strings are mapped by the full table: ß is ss, soft hyphens do not count',
    clause: 'RFC 4518 §2.2',
    slapd: 'folds single letters to single letters, and compares soft hyphens',
    explains: never,
    witnesses: [
      {
        given: [person('Ann', { title: ['Straße'] })],
        asked: search('(title=STRASSE)'),
        slapd: [0, 0],
        ours: [0, 1],
      },
      {
        given: [person('Ann', { title: ['hy\u00adphen'] })],
        asked: search('(title=hyphen)'),
        slapd: [0, 0],
        ours: [0, 1],
      },
    ],
  },
  {
    name: 'structuralObjectClass is compared by its equality rule',
    clause: 'RFC 4512 §3.4.6',
    slapd: "lets superclasses match, as objectClass's values do",
    explains: never,
    witnesses: [
      {
        given: [person('Ann')],
        asked: search('(structuralObjectClass=person)', { base: HOME }),
        slapd: [0, 1],
        ours: [0, 0],
      },
    ],
  },
  {
    name: 'an empty postal address is none, so the assertion is Undefined',
    clause: 'RFC 4517 §3.3.28',
    slapd: 'compares it',
    explains: never,
    witnesses: [
      {
        given: [],
        asked: search('(!(postalAddress=))', { base: HOME, scope: 'base' }),
        slapd: [0, 1],
        ours: [0, 0],
      },
    ],
  },
  {
    name: 'letters in telephone numbers match in either case',
    clause: 'RFC 4517 §4.2.29',
    slapd: 'tells their cases apart',
    explains: never,
    witnesses: [
      {
        given: [person('Ann', { telephoneNumber: ['1 800 ABC'] })],
        asked: compare(ANN, 'telephoneNumber', '1-800-abc'),
        slapd: [5],
        ours: [6],
      },
    ],
  },
  {
    name: 'a value of OID syntax may be a name',
    clause: 'RFC 4517 §3.3.26',
    slapd: 'takes numbers only (but for its own attributes)',
    explains: never,
    witnesses: [{ given: [], asked: person('Ann', { testOid: ['person'] }), slapd: [21], ours: [0] }],
  },
  {
    name: 'a search that finds nothing has no sort result',
    clause: 'RFC 2891 §2, case 6',
    slapd: 'says that it sorted nothing',
    explains: (asked, both) => {
      const plain = (outcome: Outcome): string => JSON.stringify({ ...outcome, controls: [] });
      return (
        isSorted(asked) &&
        both.ours.controls.length === 0 &&
        Object.keys(both.slapd.entries).length === 0 &&
        plain(both.slapd) === plain(both.ours)
      );
    },
    witnesses: [
      {
        given: [],
        asked: search('(cn=nobody)', {}, sortedBy('testCount', true)),
        slapd: [0, 0],
        ours: [0, 0],
      },
    ],
  },
  {
    name: 'what cannot be sorted comes unsorted when the control is not critical, and the sort result says why',
    clause: 'RFC 2891 §2, case 4',
    slapd: 'refuses the search (inappropriateMatching)',
    explains: never,
    witnesses: [
      {
        given: [person('Ann')],
        asked: search('(cn=Ann)', {}, sortedBy('testBoolean', false)),
        slapd: [18, 0],
        ours: [0, 1],
      },
    ],
  },
  {
    name: 'a transaction may delete entries',
    clause: 'RFC 5805 §3.3',
    slapd: 'fails by itself (other, without a diagnostic), but for a first entry directly below its parent',
    explains: never,
    explainsTransaction: ({ updates }, { slapd }) =>
      slapd.end === 80 && updates.some(({ request }) => request.op === 'deleteRequest'),
    witnesses: [
      {
        given: [person('Ann'), person('Bob')],
        asked: [remove(ANN), remove(`cn=Bob,${HOME}`)],
        slapd: [80],
        ours: [0],
      },
    ],
  },
  {
    name: 'a transaction may be empty, and its updates may have controls that read',
    clause: 'RFC 5805 §3.1, §2.3',
    slapd: 'fails the end of an empty one (operationsError), and refuses the controls (unwillingToPerform)',
    explains: never,
    witnesses: [
      { given: [], asked: [], slapd: [1], ours: [0] },
      {
        given: [person('Ann')],
        asked: [
          modify(ANN, [['add', 'title', 'x']], {
            oid: CONTROL.postRead,
            critical: false,
            value: encodeReadRequest(['title']),
          }),
        ],
        slapd: [1],
        ours: [0],
      },
    ],
  },
  {
    name: 'updates of a transaction are judged when it is settled',
    clause: 'RFC 5805 §3.2',
    slapd: 'refuses at once what is malformed, and goes on with the rest',
    explains: never,
    explainsTransaction: (_planned, { slapd, ours }) =>
      ours.failed !== undefined && ours.end !== 0 && slapd.sent[ours.failed] === ours.end,
    witnesses: [
      {
        given: [person('Ann')],
        asked: [modify(ANN, [['add', 'title', 'x']]), modify(ANN, [['add', 'noSuchType', 'x']])],
        slapd: [0],
        ours: [17],
      },
    ],
  },
  UNCOMPARABLE,
];

/** The declared difference between two answers that are not equal, if there is one. */
export function explain(asked: Asked, both: Both<Outcome>): Difference | undefined {
  return DIFFERENCES.find((one) => one.explains(asked, both));
}

export function explainTransaction(planned: Planned, both: Both<TransactionOutcome>): Difference | undefined {
  return DIFFERENCES.find((one) => one.explainsTransaction?.(planned, both) === true);
}
