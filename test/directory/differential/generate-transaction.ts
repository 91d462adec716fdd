/** Transactions (RFC 5805) of a few updates, which see one another's effects; most make sense, and some are given up. */
import { CONTROL } from '../../../src/ldap/control.ts';
import type { Control } from '../../../src/ldap/message.ts';
import { drawAdd, drawDelete, drawModify, drawRename, type Picker } from './generate.ts';
import { add, modify, remove, rename } from './request.ts';
import type { Asked } from './run.ts';
import type { State } from './state.ts';
import { HOME } from './vocabulary.ts';

export interface Planned {
  readonly updates: readonly Asked[];
  readonly commit: boolean;
  /** Asked while it is open, from outside: nothing of it may be seen. */
  readonly peek: boolean;
}

/** Each update is about an entry of its own, since all are drawn before any is carried out. */
export function drawTransaction(pick: Picker, state: State): Planned {
  const updates: Asked[] = [];
  const touched: string[] = [];
  for (let n = pick.number(4); n >= 0; n--) {
    const free = state.entries.filter(
      ({ dn }, at) => at === 0 || !touched.some((other) => isNear(dn, other)),
    );
    const deletes = updates.some(({ request }) => request.op === 'deleteRequest');
    const movable = free.length > 1;
    const leaves = !deletes && free.slice(1).some(({ leaf }) => leaf);
    const draw = pick.of([
      drawModify,
      drawAdd,
      drawModify,
      ...(leaves ? [drawDelete] : []),
      ...(movable ? [drawRename] : []),
    ]);
    const asked = draw(pick, { entries: free }, { plain: true });
    touched.push(...namesIn(asked));
    updates.push(stayingWhereItIs(asked));
  }
  if (pick.rarely(5)) updates.splice(pick.number(updates.length + 1), 0, failing(pick));
  return { updates, commit: !pick.rarely(5), peek: pick.rarely(2) };
}

/** An update that can only be judged when it is carried out. */
function failing(pick: Picker): Asked {
  return pick.of([
    remove(HOME),
    remove(`cn=gone,${HOME}`),
    add(HOME, { objectClass: ['organizationalUnit'], ou: ['case'] }),
    modify(HOME, [['delete', 'postalAddress', 'never there']]),
    modify(`cn=gone,${HOME}`, [['replace', 'description', 'x']]),
    rename(`cn=gone,${HOME}`, 'cn=x'),
    modify(HOME, [['add', 'ou', 'CASE']]),
  ]);
}

/** slapd 2.5 dies of a move in a transaction when somebody reads meanwhile. */
function stayingWhereItIs(asked: Asked): Asked {
  if (asked.request.op !== 'modifyDnRequest') return asked;
  const { newSuperior: _, ...request } = asked.request;
  return { ...asked, request };
}

/** Of the entry, and of where it comes to be. */
function namesIn({ request }: Asked): string[] {
  if (request.op === 'modifyDnRequest')
    return [request.dn, ...(request.newSuperior === undefined ? [] : [request.newSuperior])];
  return 'dn' in request ? [request.dn] : [];
}

/** One is the other, or stands below it. */
function isNear(a: string, b: string): boolean {
  const [x, y] = [a, b].map((dn) => dn.toLowerCase().replaceAll(' , ', ',')) as [string, string];
  return x.endsWith(y) || y.endsWith(x);
}

export function inTransaction(asked: Asked, identifier: Buffer): Asked {
  const control: Control = { oid: CONTROL.transactionSpecification, critical: true, value: identifier };
  return { ...asked, controls: [...(asked.controls ?? []), control] };
}
