/** Intended differences of searches and comparisons: which values match, and how results are sorted. */
import { isDeepStrictEqual } from 'node:util';
import { CONTROL } from '../../../src/ldap/control.ts';
import { encodeSortRequest } from '../../../src/ldap/control-values.ts';
import type { Control } from '../../../src/ldap/message.ts';
import { ANN, codes, type Difference, filterHas, never } from './difference.ts';
import { compare, person, search } from './request.ts';
import type { Asked, Outcome } from './run.ts';
import { HOME } from './vocabulary.ts';

const isSorted = ({ controls = [] }: Asked): boolean =>
  controls.some(({ oid }) => oid === CONTROL.sortRequest);
const sortedBy = (attribute: string, critical: boolean): Control => ({
  oid: CONTROL.sortRequest,
  critical,
  value: encodeSortRequest([{ attribute, reverse: false }]),
});

/** Of somebody with few rights: `access.test.ts` sees it occur. */
export const UNSEEN: Difference = {
  name: 'what one may not see is as if it were not there: an attribute that one may not compare, an entry below a sorted search',
  clause: 'RFC 4511 §4.1.9: another code may stand in for one that would disclose something',
  slapd:
    'says insufficientAccessRights, also when an unseen entry comes last in a sorted search; counts such entries for the size limit',
  explains(asked, both) {
    const { request } = asked;
    if (request.op === 'compareRequest') return /^50 (16|122)$/.test(codes(both));
    if (request.op !== 'searchRequest') return false;
    const found = Object.keys(both.ours.entries).length;
    // A filter that is true of everything, `(&)`, asks for no right to an attribute.
    if (!isSorted(asked)) return codes(both) === '4 0' && found === request.sizeLimit;
    if (codes(both) === '50 0') return isDeepStrictEqual(both.slapd.entries, both.ours.entries);
    return codes(both) === '4 0' && found <= request.sizeLimit;
  },
  witnesses: [],
};

export const SEARCH_DIFFERENCES: readonly Difference[] = [
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
    clause: 'RFC 4512 §3.4.5',
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
];
