import { describe, expect, it } from 'vitest';
import type { Modification } from '../../ldap/message.ts';
import { DigestSum } from '../content-digest.ts';
import { edgeStateChanges, parseEdgeState } from './edge-state.ts';
import { planSubtree } from './subtree-push.ts';

const asAttributes = (changes: readonly Modification[]) => changes.map((change) => change.attribute);
const entry = (dn: string, attributes: Readonly<Record<string, string[]>>) => ({
  dn,
  attributes: Object.entries(attributes).map(([type, values]) => ({
    type,
    values: values.map((v) => Buffer.from(v)),
  })),
});

describe('state of an edge', () => {
  it('is read as it was written', () => {
    const position = {
      mirrorId: Buffer.alloc(16, 7),
      sequence: 2 ** 40 + 3,
      cookie: Buffer.from('rid=000,csn=1'),
    };
    const digest = DigestSum.from(12, Buffer.alloc(32, 9));
    const changes = edgeStateChanges({
      loadState: 'complete',
      position,
      digest,
      epoch: 4,
      lastConfirmed: Date.UTC(2026, 0, 2),
      plannedRemovals: 0,
    });
    expect(parseEdgeState(asAttributes(changes))).toMatchObject({
      loadState: 'complete',
      ...position,
      digest,
      mappingVersion: 1,
      lastConfirmed: Date.UTC(2026, 0, 2),
    });
  });

  it('is "none" for an edge that has nothing, or something strange', () => {
    expect(parseEdgeState(undefined)).toMatchObject({
      loadState: 'none',
      mirrorId: undefined,
      sequence: 0,
      cookie: undefined,
    });
    const strange = [
      { type: 'posternCookie', values: [Buffer.from('short')] },
      { type: 'posternContentDigest', values: [Buffer.from('x')] },
    ];
    expect(parseEdgeState(strange)).toMatchObject({
      loadState: 'none',
      mirrorId: undefined,
      digest: new DigestSum(),
    });
  });

  it('tells planned removals only when there are any', () => {
    const position = { mirrorId: Buffer.alloc(16), sequence: 0, cookie: undefined };
    const update = {
      loadState: 'loading',
      position,
      digest: new DigestSum(),
      epoch: 1,
      lastConfirmed: undefined,
    } as const;
    const types = (plannedRemovals: number): string[] =>
      edgeStateChanges({ ...update, plannedRemovals }).map((change) => change.attribute.type);
    expect(types(5)).toContain('posternPlannedRemovals');
    expect(types(0)).not.toContain('posternPlannedRemovals');
  });
});

describe('plan of a subtree', () => {
  const a = entry('cn=a,cn=Hubs', { objectClass: ['posternHub'], cn: ['a'], posternFqdn: ['a.example'] });
  const b = entry('cn=b,cn=Hubs', { objectClass: ['posternHub'], cn: ['b'], posternFqdn: ['b.example'] });

  it('is empty between equals, whatever the order, case of names or spaces', () => {
    const same = entry('CN=A, cn=hubs', {
      posternFQDN: ['a.example'],
      cn: ['a'],
      objectclass: ['POSTERNHUB'],
    });
    expect(planSubtree([b, same], [a, b])).toEqual([]);
  });

  it('puts what is new or other, and removes what is left over', () => {
    const changed = entry('cn=a,cn=Hubs', {
      objectClass: ['posternHub'],
      cn: ['a'],
      posternFqdn: ['new.example'],
    });
    expect(planSubtree([a, b], [changed])).toEqual([
      { kind: 'put', ...changed },
      { kind: 'remove', dn: b.dn },
    ]);
  });

  it('leaves ignored attributes out of the comparison', () => {
    const marked = entry('cn=a,cn=Hubs', {
      objectClass: ['posternHub'],
      cn: ['a'],
      posternFqdn: ['a.example'],
      mark: ['1'],
    });
    expect(planSubtree([marked], [a], ['Mark'])).toEqual([]);
    expect(planSubtree([marked], [a])).toHaveLength(1);
  });
});
