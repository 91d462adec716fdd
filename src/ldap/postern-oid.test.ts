import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { isOid } from '../asn1/oid.ts';
import { CONTROL, EXTENDED, FEATURE, findControl, INTERMEDIATE, oidName } from './control.ts';
import {
  POSTERN_ARC,
  POSTERN_ATTRIBUTE,
  POSTERN_CONTROL,
  POSTERN_EXTENDED,
  POSTERN_MATCHING_RULE,
  POSTERN_OBJECT_CLASS,
} from './postern-oid.ts';

const architecture = readFileSync(new URL('../../docs/architecture.md', import.meta.url), 'utf8');
const tables = [
  POSTERN_ATTRIBUTE,
  POSTERN_OBJECT_CLASS,
  POSTERN_EXTENDED,
  POSTERN_CONTROL,
  POSTERN_MATCHING_RULE,
];

test('every name of ours in the architecture has a number', () => {
  expect(architecture).toContain(`\`${POSTERN_ARC}\``);
  const known = new Set(tables.flatMap((table) => Object.keys(table)));
  const named = new Set(Array.from(architecture.matchAll(/\bpostern[A-Z][A-Za-z]+/g), ([name]) => name));
  expect(named.size).toBeGreaterThan(25);
  expect([...named].filter((name) => !known.has(name))).toEqual([]);
});

test('extended operations and controls have the numbers of the architecture', () => {
  for (const [name, oid] of Object.entries({ ...POSTERN_EXTENDED, ...POSTERN_CONTROL })) {
    expect(architecture).toMatch(
      new RegExp(`\\| ${name}( \\(control\\))? \\| ${oid.slice(POSTERN_ARC.length + 1)} \\|`),
    );
  }
});

test('each table in its own branch, without gaps or doubles', () => {
  tables.forEach((table, index) => {
    expect(Object.values(table)).toEqual(
      Object.keys(table).map((_, n) => `${POSTERN_ARC}.${index + 1}.${n + 1}`),
    );
  });
});

test('object identifiers by name', () => {
  const all = [CONTROL, EXTENDED, INTERMEDIATE, FEATURE].flatMap((table) => Object.entries(table));
  expect(new Set(all.map(([, oid]) => oid)).size).toBe(all.length);
  for (const [name, oid] of all) {
    expect(isOid(oid)).toBe(true);
    expect(oidName(oid)).toBe(name);
  }
  expect(oidName('1.2.3')).toBe('1.2.3');
});

test('finding a control', () => {
  const controls = [
    { oid: CONTROL.assertion, critical: true, value: Buffer.from('a') },
    { oid: CONTROL.manageDsaIT, critical: false },
  ];
  expect(findControl(controls, CONTROL.manageDsaIT)).toBe(controls[1]);
  expect(findControl(controls, CONTROL.preRead)).toBeUndefined();
});
