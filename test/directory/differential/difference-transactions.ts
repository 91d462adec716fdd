/** Intended differences of transactions (RFC 5805). */
import { CONTROL } from '../../../src/ldap/control.ts';
import { encodeReadRequest } from '../../../src/ldap/control-values.ts';
import { ANN, type Difference, never } from './difference.ts';
import { modify, person, remove } from './request.ts';
import { HOME } from './vocabulary.ts';

export const TRANSACTION_DIFFERENCES: readonly Difference[] = [
  {
    name: 'a transaction may delete entries',
    clause: 'RFC 5805 §2.2',
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
    clause: 'RFC 5805 §3.4, §4.5',
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
    clause: 'RFC 5805 §3.3',
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
];
