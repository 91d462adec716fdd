/** What RFC 5805 says of transactions, with two entries, a and b, to begin with. */
import { CONTROL } from '../../../src/ldap/control.ts';
import { encodeReadRequest } from '../../../src/ldap/control-values.ts';
import { modify, person, remove, rename } from '../differential/request.ts';
import type { Asked } from '../differential/run.ts';
import type { TransactionOutcome } from '../differential/transaction.ts';
import { at } from './cases.ts';

export interface TransactionCase {
  readonly clause: string;
  readonly updates: readonly Asked[];
  readonly commit: boolean;
  /** Somebody looks while it is open. */
  readonly peek?: boolean;
  readonly outcome: Partial<TransactionOutcome>;
  readonly slapdDiffers?: string;
  /** RDNs of the people that are there afterwards. */
  readonly left: readonly string[];
}

const title = (rdn: string, value = 'x'): Asked => modify(at(rdn), [['replace', 'title', value]]);

export const TRANSACTIONS: readonly TransactionCase[] = [
  {
    clause: 'RFC 5805 §3.4 one that holds nothing',
    updates: [],
    commit: true,
    outcome: { sent: [], end: 0, controls: {} },
    slapdDiffers: 'an empty transaction is an operationsError',
    left: ['cn=a', 'cn=b'],
  },
  {
    clause: 'RFC 5805 §3.3 updates are accepted with success and not yet seen',
    updates: [person('c'), title('cn=a')],
    commit: true,
    peek: true,
    outcome: { sent: [0, 0], end: 0 },
    left: ['cn=a', 'cn=b', 'cn=c'],
  },
  {
    clause: 'RFC 5805 §3.4 later updates see earlier ones',
    updates: [person('c'), rename(at('cn=c'), 'cn=d'), title('cn=d'), remove(at('cn=a'))],
    commit: true,
    outcome: { end: 0 },
    left: ['cn=b', 'cn=d'],
  },
  {
    clause: 'RFC 5805 §3.4 aborted: nothing happens',
    updates: [person('c'), remove(at('cn=a'))],
    commit: false,
    outcome: { end: 0 },
    left: ['cn=a', 'cn=b'],
  },
  {
    clause: 'RFC 5805 §3.4 one update fails: none happens, and the answer names it',
    updates: [person('c'), remove(at('cn=none')), title('cn=a')],
    commit: true,
    outcome: { end: 32, failed: 1 },
    left: ['cn=a', 'cn=b'],
  },
  {
    clause: 'RFC 5805 §2.3 controls of the updates come with the end',
    updates: [
      modify(at('cn=a'), [['replace', 'sn', 'new']], {
        oid: CONTROL.postRead,
        critical: false,
        value: encodeReadRequest(['sn']),
      }),
    ],
    commit: true,
    outcome: {
      end: 0,
      controls: {
        0: [{ oid: CONTROL.postRead, value: { dn: at('cn=a'), attributes: { sn: ['new'] } } }],
      },
    },
    slapdDiffers: 'updates with these controls are refused',
    left: ['cn=a', 'cn=b'],
  },
];
