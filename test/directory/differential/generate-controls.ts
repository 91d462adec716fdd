/** Controls for generated requests: assertions, reads before and after, some that mean nothing, some that cannot be. */
import { CONTROL } from '../../../src/ldap/control.ts';
import { encodeAssertion, encodeReadRequest } from '../../../src/ldap/control-values.ts';
import { parseFilter } from '../../../src/ldap/filter.ts';
import type { Control } from '../../../src/ldap/message.ts';
import type { Picker } from './generate.ts';

const READS: readonly (readonly string[])[] = [
  [],
  ['*'],
  ['cn', 'description', 'testCount'],
  ['1.1'],
  ['objectClass', 'entryDN'],
  ['testInteger', 'testCount', 'noSuchType'],
];
const ASSERTIONS = [
  '(objectClass=*)',
  '(!(cn=never there))',
  '(|(cn=*)(ou=*)(uid=*))',
  '(description=never there)',
  '(objectClass=country)',
];

/** Three in four requests have none. */
export function drawReadControls(
  pick: Picker,
  op: 'add' | 'modify' | 'rename' | 'delete' | 'compare',
): Control[] {
  if (pick.number(4) !== 3) return [];
  const controls: Control[] = [];
  const critical = pick.number(2) === 0;
  const which = pick.number(5);
  if (which === 0)
    controls.push(assertion(pick.of(pick.rarely(3) ? ASSERTIONS : ASSERTIONS.slice(0, 3)), critical));
  if (which === 1 && (op === 'modify' || op === 'rename' || op === 'delete'))
    controls.push({ oid: CONTROL.preRead, critical, value: encodeReadRequest(pick.of(READS)) });
  if ((which === 1 || which === 2) && (op === 'modify' || op === 'rename' || op === 'add'))
    controls.push({ oid: CONTROL.postRead, critical, value: encodeReadRequest(pick.of(READS)) });
  if (which === 3) controls.push({ oid: CONTROL.manageDsaIT, critical });
  if (which === 4) controls.push({ oid: '1.2.3.4.5.6.7', critical: pick.rarely(3) });
  return controls;
}

export function assertion(filter: string, critical: boolean): Control {
  return { oid: CONTROL.assertion, critical, value: encodeAssertion(parseFilter(filter)) };
}
