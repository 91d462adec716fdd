/** Intended differences of updates. */
import { CONTROL } from '../../../src/ldap/control.ts';
import { decodeReadRequest, encodeReadRequest } from '../../../src/ldap/control-values.ts';
import type { Control } from '../../../src/ldap/message.ts';
import { ANN, codes, type Difference } from './difference.ts';
import { add, modify, person, rename } from './request.ts';
import type { Asked, Outcome } from './run.ts';
import { HOME } from './vocabulary.ts';

function readOf({ controls = [] }: Asked): readonly Control[] {
  return controls.filter(({ oid }) => oid === CONTROL.preRead || oid === CONTROL.postRead);
}

export const UPDATE_DIFFERENCES: readonly Difference[] = [
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
    clause: 'RFC 4527 §3.1 and §3.2, RFC 4511 §4.5.1.8, RFC 4529 §3',
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
    clause: 'RFC 4511 §4.9: a new superior is an entry that is there',
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
];
