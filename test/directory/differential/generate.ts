/**
 * Requests that make sense to the directory as it is: entries that exist, values that they have, rules of their classes; one in
 * eight is wrong in one respect. What is drawn are numbers, which name choices when the state is known; so a case shrinks and replays.
 */
import fc from 'fast-check';
import type { Attribute, Modification } from '../../../src/ldap/message.ts';
import { drawReadControls } from './generate-controls.ts';
import { BASE } from './vocabulary.ts';
import type { Asked } from './run.ts';
import { depth, type Held, type State } from './state.ts';
import {
  HOME,
  nameValue,
  octets,
  respell,
  type Template,
  TEMPLATES,
  type TypeInfo,
  TYPES,
  typeInfo,
  WORDS,
} from './vocabulary.ts';

export type StepKind =
  | 'add'
  | 'modify'
  | 'rename'
  | 'delete'
  | 'compare'
  | 'search'
  | 'transaction'
  | 'whoAmI';

/** A step before it meets the state. */
export interface Draw {
  readonly kind: StepKind;
  readonly picks: readonly number[];
}

export function draws(weights: Readonly<Partial<Record<StepKind, number>>>): fc.Arbitrary<Draw> {
  const drawn = fc.record({
    kind: fc.oneof(
      ...Object.entries(weights).map(([kind, weight]) => ({
        weight,
        arbitrary: fc.constant(kind as StepKind),
      })),
    ),
    picks: fc.array(fc.nat(99_999), { minLength: 40, maxLength: 40 }),
  });
  // The numbers tell a reader nothing; the failure tells the requests.
  return drawn.map((draw) => Object.defineProperty(draw, fc.toStringMethod, { value: () => draw.kind }));
}

/** Hands out what was drawn; zeros when it is used up. */
export class Picker {
  readonly #picks: readonly number[];
  #at = 0;

  constructor(picks: readonly number[]) {
    this.#picks = picks;
  }

  number(below: number): number {
    return (this.#picks[this.#at++] ?? 0) % Math.max(1, below);
  }

  of<T>(list: readonly T[]): T {
    return list[this.number(list.length)] as T;
  }

  /** Once in `n` times; never for a shrunk draw. */
  rarely(n: number): boolean {
    return this.number(n) === n - 1;
  }

  some<T>(list: readonly T[], most: number): T[] {
    const left = [...list];
    const count = Math.min(this.number(most + 1), left.length);
    return Array.from({ length: count }, () => left.splice(this.number(left.length), 1)[0] as T);
  }
}

/** Case and spaces of a name differently. */
export function respellDn(dn: string, nth: number): string {
  return respell('dn', dn, nth);
}

function newRdn(pick: Picker, template: Template): { rdn: string; parts: [string, string][] } {
  const types = pick.rarely(5) ? template.naming.slice(0, 2) : [pick.of(template.naming)];
  const parts = types.map((type): [string, string] => [
    type,
    pick.of((typeInfo(type)?.values ?? WORDS).filter((value) => value.length < 100)),
  ]);
  const rdn = parts
    .map(([type, value]) => `${type}=${nameValue(value, pick.number(8))}`)
    .join(pick.rarely(4) ? ' + ' : '+');
  return { rdn, parts };
}

/** Values of a type that are distinct under its rule, in this vocabulary. */
function values(pick: Picker, info: Pick<TypeInfo, 'values' | 'single'>): string[] {
  const few = pick.some(info.values, info.single === true ? 1 : 3);
  return few.length > 0 ? few : [pick.of(info.values)];
}

const attribute = (type: string, list: readonly string[]): Attribute => ({
  type,
  values: list.map((value) => octets(type, value)),
});

/** Parts of transactions have no controls of their own, and no faults that a server may see at once. */
export interface Plain {
  readonly plain?: boolean;
}

export function drawAdd(pick: Picker, state: State, { plain = false }: Plain = {}): Asked {
  const template = pick.of(TEMPLATES);
  const parents = state.entries.filter(({ dn }) => depth(dn) < 7);
  const parent = respellDn(pick.of(parents).dn, pick.number(6));
  const { rdn, parts } = newRdn(pick, template);
  const content = new Map<string, string[]>([['objectClass', [...template.classes]]]);
  for (const [type, choice] of Object.entries(template.must)) content.set(type, [pick.of(choice)]);
  for (const type of pick.some(template.may, 6)) {
    const info = typeInfo(type) as TypeInfo;
    if (!content.has(type))
      content.set(pick.rarely(4) ? pick.of(info.also ?? [type]) : type, values(pick, info));
  }
  for (const [type, value] of parts) {
    const single = typeInfo(type)?.single === true;
    // RFC 4511 §4.7 lets the server add what the name says; both do. Two values of a single-valued type are a declared difference.
    if (!single && pick.rarely(5)) continue;
    content.set(type, single ? [value] : [...new Set([...(content.get(type) ?? []), value])]);
  }
  let dn = `${rdn},${parent}`;
  const wrong = !plain && pick.rarely(8);
  if (wrong) {
    const broken = pick.number(9);
    const existing = pick.of(state.entries).dn;
    if (broken === 0) dn = existing;
    if (broken === 1) dn = `${rdn},ou=missing,${parent}`;
    if (broken === 2) content.delete(pick.of(Object.keys(template.must)));
    if (broken === 3) content.set('noSuchType', ['x']);
    if (broken === 4) content.set('objectClass', [...template.classes, 'noSuchClass']);
    if (broken === 5) content.set('createTimestamp', ['20260101000000Z']);
    if (broken === 6) content.set('mail', ['ünïcode@example.org']);
    if (broken === 7) content.set('uniqueMember', [HOME]);
    if (broken === 8) content.set('objectClass', [...template.classes, 'country']);
  }
  const attributes = [...content].map(([type, list]) => attribute(type, list));
  return {
    request: { op: 'addRequest', dn, attributes },
    // Of two faults in one request either may be reported; so what is wrong has no controls.
    controls: plain || wrong ? [] : drawReadControls(pick, 'add'),
  };
}

/** What an entry may have besides: everything of the vocabulary for an extensible one. */
function typesFor(entry: Held): readonly TypeInfo[] {
  const classes = (entry.attributes['objectClass'] ?? []).map((name) => name.toLowerCase());
  const fitting = TEMPLATES.filter((template) =>
    template.classes.every((name) => classes.includes(name.toLowerCase())),
  );
  const names = new Set(fitting.flatMap((template) => template.may));
  const found = TYPES.filter(({ name }) => names.has(name));
  return found.length > 0 ? found : TYPES.slice(0, 1);
}

const isNaming = (entry: Held, type: string): boolean =>
  (entry.dn.split(/(?<!\\),/)[0] ?? '').toLowerCase().includes(`${type.toLowerCase()}=`);

function drawChange(pick: Picker, entry: Held): Modification {
  const info = pick.of(typesFor(entry));
  const held = entry.attributes[info.name] ?? [];
  const name = pick.rarely(5) ? pick.of(info.also ?? [info.name]) : info.name;
  const fresh = info.values.filter((value) => !held.includes(value));
  const must = info.name === 'cn' || info.name === 'sn' || isNaming(entry, info.name);
  const choice = pick.number(8);
  if (info.kind === 'integer' && held.length > 0 && choice < 4)
    return { kind: 'increment', attribute: attribute(name, [pick.of(['1', '-1', '1000', '0'])]) };
  if (held.length > 0 && choice < 3 && !must) {
    const gone = pick
      .some(held, 2)
      .map((value) =>
        info.kind === 'octets' || info.kind === 'exact' ? value : respell(info.kind, value, pick.number(4)),
      );
    return { kind: 'delete', attribute: attribute(name, info.name === 'jpegPhoto' ? [] : gone) };
  }
  if (choice < 6 && fresh.length > 0 && (info.single !== true || held.length === 0))
    return {
      kind: 'add',
      attribute: attribute(name, info.single === true ? [pick.of(fresh)] : values(pick, { values: fresh })),
    };
  const replaced = must
    ? [...new Set([...held, pick.of(info.values)])]
    : pick.rarely(4)
      ? []
      : values(pick, info);
  return {
    kind: 'replace',
    attribute: attribute(name, info.single === true ? replaced.slice(0, 1) : replaced),
  };
}

function brokenChange(pick: Picker, entry: Held): Modification {
  const info = pick.of(TYPES.filter(({ wrong }) => wrong !== undefined));
  const held = Object.entries(entry.attributes).filter(([type]) => typeInfo(type)?.kind === 'ignore');
  const [type, have] = held.length > 0 ? pick.of(held) : ['cn', ['x']];
  const choices: readonly Modification[] = [
    { kind: 'add', attribute: attribute(info.name, [pick.of(info.wrong ?? [])]) },
    { kind: 'add', attribute: attribute(type, [respell('ignore', have[0] ?? 'x', pick.number(3))]) },
    { kind: 'delete', attribute: attribute('carLicense', ['never there']) },
    { kind: 'delete', attribute: attribute('roomNumber', []) },
    { kind: 'increment', attribute: attribute('description', ['1']) },
    { kind: 'add', attribute: attribute('noSuchType', ['x']) },
    { kind: 'replace', attribute: attribute('entryUUID', ['00000000-0000-0000-0000-000000000000']) },
    { kind: 'replace', attribute: attribute('objectClass', ['country']) },
    { kind: 'replace', attribute: attribute('objectClass', []) },
    { kind: 'add', attribute: attribute('displayName', ['one', 'two']) },
    { kind: 'add', attribute: attribute('uniqueMember', [BASE]) },
  ];
  return pick.of(choices);
}

export function drawModify(pick: Picker, state: State, { plain = false }: Plain = {}): Asked {
  const entry = pick.of(state.entries);
  const dn = respellDn(entry.dn, pick.number(6));
  const wrong = !plain && pick.rarely(8);
  const changes: Modification[] = [];
  // Of two faults in one request either may be reported, so there is one at most, and one change an attribute.
  for (let n = pick.number(3); n >= 0; n--) {
    const change = drawChange(pick, entry);
    const base = change.attribute.type.toLowerCase();
    if (!changes.some((c) => sameType(c.attribute.type, base))) changes.push(change);
  }
  const controls = plain || wrong ? [] : drawReadControls(pick, 'modify');
  return {
    request: { op: 'modifyRequest', dn, changes: wrong ? [brokenChange(pick, entry)] : changes },
    controls,
  };
}

function sameType(a: string, b: string): boolean {
  const canonical = (name: string): string =>
    TYPES.find((type) =>
      [type.name, ...(type.also ?? [])].some((n) => n.toLowerCase() === name.toLowerCase()),
    )?.name ?? name;
  return canonical(a) === canonical(b);
}

export function drawRename(pick: Picker, state: State, { plain = false }: Plain = {}): Asked {
  const movable = state.entries.slice(1);
  const gone: Held = { dn: `cn=gone,${HOME}`, attributes: {}, leaf: true };
  const entry = movable.length === 0 || (!plain && pick.rarely(16)) ? gone : pick.of(movable);
  const classes = (entry.attributes['objectClass'] ?? []).map((name) => name.toLowerCase());
  const template =
    TEMPLATES.find((one) => one.classes.every((name) => classes.includes(name.toLowerCase()))) ??
    (TEMPLATES[1] as Template);
  const rdn = pick.rarely(4) ? (entry.dn.split(/(?<!\\),/)[0] as string) : newRdn(pick, template).rdn;
  const places = state.entries.filter(({ dn }) => depth(dn) < 6 && !dn.endsWith(entry.dn));
  const moves = pick.number(3) > 0;
  const wrong = !plain && pick.rarely(12);
  const place = wrong
    ? pick.of([`ou=missing,${HOME}`, entry.dn, `cn=x,${entry.dn}`])
    : respellDn((pick.of(places) ?? entry).dn, pick.number(6));
  return {
    request: {
      op: 'modifyDnRequest',
      dn: respellDn(entry.dn, pick.number(6)),
      newRdn: rdn,
      // Without it the entry must be allowed both, which single-valued types are not.
      deleteOldRdn: pick.number(3) > 0,
      ...(moves && { newSuperior: place }),
    },
    controls: wrong || plain ? [] : drawReadControls(pick, 'rename'),
  };
}

export function drawDelete(pick: Picker, state: State, { plain = false }: Plain = {}): Asked {
  const leaves = state.entries.slice(1).filter(({ leaf }) => leaf);
  const wrong = (!plain && pick.rarely(8)) || leaves.length === 0;
  const dn = wrong ? pick.of([HOME, `cn=gone,${HOME}`, `cn=a,cn=gone,${HOME}`]) : pick.of(leaves).dn;
  return {
    request: { op: 'deleteRequest', dn: respellDn(dn, pick.number(6)) },
    controls: plain || wrong ? [] : drawReadControls(pick, 'delete'),
  };
}

/** Comparable attributes of an entry with their values. */
export function comparable(entry: Held): [TypeInfo, readonly string[]][] {
  return Object.entries(entry.attributes).flatMap(([type, list]): [TypeInfo, readonly string[]][] => {
    const info = typeInfo(type);
    return info === undefined || info.name === 'jpegPhoto' ? [] : [[info, list]];
  });
}

export function drawCompare(pick: Picker, state: State): Asked {
  const entry = pick.of(state.entries);
  const dn = respellDn(entry.dn, pick.number(6));
  const have = comparable(entry);
  const compare = (name: string, value: string, controls = drawReadControls(pick, 'compare')): Asked => ({
    request: { op: 'compareRequest', dn, attribute: name, value: octets(name, value) },
    controls,
  });
  if (have.length === 0) return compare('objectClass', pick.of(['top', 'organizationalUnit', 'PERSON']));
  const [info, list] = pick.of(have);
  const name = pick.of([info.name, ...(info.also ?? [])]);
  if (pick.rarely(10))
    return compare(pick.of(['noSuchType', 'roomNumber', 'jpegPhoto', 'createTimestamp']), 'x', []);
  if (pick.rarely(4)) return compare(name, pick.of(info.values));
  return compare(name, respell(info.kind, pick.of(list), pick.number(6)));
}
