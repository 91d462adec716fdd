import { beforeAll, describe, expect, it } from 'vitest';
import { makeCertificate, type TestCertificate } from '../../../test/support/certificate.ts';
import {
  childAssociation,
  ikeAssociation,
  NOTHING_THERE,
  trapOf,
} from '../../../test/support/charon-state.ts';
import { CONNECTION, desiredState } from '../../../test/support/desired-state.ts';
import type { DesiredState } from '../desired.ts';
import type { ActualState } from './actual.ts';
import { recordOf } from './connection-message.ts';
import { diff, type DiffOptions, echoOf, type Step } from './diff.ts';
import { EMPTY_MEMORY, type Memory } from './memory.ts';
import { memoryAfter, memoryBefore } from './perform.ts';
import { readServiceNames } from './selector-text.ts';

const NAMES = readServiceNames('pop3 110/tcp\nimap2 143/tcp');
const CHILD = `${CONNECTION}-passwords`;
const OPTIONS: DiffOptions = {
  fresh: false,
  mayInitiate: () => true,
  echo: () => undefined,
  serviceNames: NAMES,
  lost: new Set(),
};

let certificates: [fe: TestCertificate, be: TestCertificate, other: TestCertificate];

beforeAll(async () => {
  certificates = await Promise.all([makeCertificate(), makeCertificate(), makeCertificate()]);
});

const state = (more: Parameters<typeof desiredState>[2] = {}): DesiredState =>
  desiredState(
    { id: 'fe.example', address: '10.66.0.1', certificate: certificates[0] },
    { id: 'be.example', address: '10.66.0.2', certificate: certificates[1] },
    more,
  );

const NOTHING: DesiredState = { ...desiredStateSettings(), connections: [], keys: [], bypasses: [] };
function desiredStateSettings(): Pick<DesiredState, 'settings'> {
  return { settings: { retransmitTimeout: 4, retransmitBase: 1.8, retransmitTries: 5 } };
}

const keyId = (desired: DesiredState): string => desired.keys[0]?.keyId ?? '';

/** A charon that is as `desired` says, with the child up. */
function inPlace(
  desired: DesiredState,
  more: Partial<ActualState> = {},
): { actual: ActualState; memory: Memory } {
  const records = desired.connections.map((connection) => [connection.name, recordOf(connection)] as const);
  return {
    actual: {
      ...NOTHING_THERE,
      names: new Set(records.map(([name]) => name)),
      keys: new Set([keyId(desired)]),
      policies: [trapOf(CONNECTION, CHILD)],
      associations: [ikeAssociation(CONNECTION, [childAssociation(CHILD)])],
      ...more,
    },
    memory: {
      connections: Object.fromEntries(records),
      keys: [keyId(desired)],
      pairs: [{ local: '10.66.0.1', remote: '10.66.0.2' }],
    },
  };
}

const summary = (steps: readonly Step[]): string[] =>
  steps.map((step) => {
    switch (step.do) {
      case 'load':
      case 'terminate':
        return `${step.do} ${step.why}`;
      case 'delete-association':
        return `${step.do} ${step.association.spi}`;
      case 'delete-policy':
        return `${step.do} ${step.policy.index}`;
      default:
        return step.do;
    }
  });

describe('the steps from what is to what should be', () => {
  it('are none when all is in place', () => {
    const desired = state();
    const { actual, memory } = inPlace(desired);
    expect(diff(desired, actual, memory, OPTIONS)).toEqual([]);
  });

  it('load everything into an empty charon, the key first', () => {
    expect(summary(diff(state(), NOTHING_THERE, EMPTY_MEMORY, OPTIONS))).toEqual(['load-key', 'load new']);
  });

  it("never touch what is another's", () => {
    const foreign: ActualState = {
      ...NOTHING_THERE,
      names: new Set(['office', 'posternly', 'xpostern-a']),
      keys: new Set(['00'.repeat(20)]),
      associations: [ikeAssociation('office', [childAssociation('net')])],
      policies: [trapOf('office', 'net')],
      kernel: {
        associations: [
          {
            source: '10.66.0.1',
            destination: '10.99.0.2',
            protocol: 'esp',
            spi: 'aaaaaaaa',
            mode: 'transport',
            keyed: true,
          },
        ],
        policies: [policy({ destination: '10.99.0.2' })],
      },
    };
    expect(
      diff(NOTHING, foreign, { ...EMPTY_MEMORY, keys: ['11'.repeat(20)] }, { ...OPTIONS, fresh: true }),
    ).toEqual([]);
    expect(summary(diff(state(), foreign, EMPTY_MEMORY, { ...OPTIONS, fresh: true }))).toEqual([
      'load-key',
      'load new',
    ]);
  });

  it('take away all of ours: the connection first, then its associations, the key last', () => {
    const { actual, memory } = inPlace(state());
    expect(summary(diff(NOTHING, actual, memory, OPTIONS))).toEqual([
      'unload',
      'terminate removed',
      'unload-key',
    ]);
  });

  it('leave a key that was there before us', () => {
    const { actual, memory } = inPlace(state());
    expect(summary(diff(NOTHING, actual, { ...memory, keys: [] }, OPTIONS))).not.toContain('unload-key');
  });

  it.each<[what: string, change: () => Parameters<typeof desiredState>[2], steps: string[]]>([
    [
      'a pin is added: nobody is disturbed',
      () => ({ pins: [certificates[1].certificate, certificates[2].certificate] }),
      ['load changed'],
    ],
    [
      'a pin is replaced',
      () => ({ pins: [certificates[2].certificate] }),
      ['load changed', 'terminate pin-removed', 'initiate'],
    ],
    [
      'other ports',
      () => ({ child: { remoteSelectors: [{ address: '10.66.0.2', protocol: 6, ports: [110, 110] }] } }),
      ['load changed', 'terminate changed', 'initiate'],
    ],
    [
      'other algorithms',
      () => ({ connection: { ikeProposals: ['aes128-sha256-modp2048'] } }),
      ['load changed', 'terminate changed', 'initiate'],
    ],
  ])('when %s', (_what, change, steps) => {
    const { actual, memory } = inPlace(state());
    expect(summary(diff(state(change()), actual, memory, OPTIONS))).toEqual(steps);
  });

  it('renew the own certificate without disturbing anybody', () => {
    const { actual, memory } = inPlace(state());
    const renewed = desiredState(
      { id: 'fe.example', address: '10.66.0.1', certificate: certificates[2] },
      { id: 'be.example', address: '10.66.0.2', certificate: certificates[1] },
    );
    expect(summary(diff(renewed, actual, memory, OPTIONS))).toEqual([
      'load-key',
      'load changed',
      'unload-key',
    ]);
  });

  it('make associations anew whose pins nobody remembers', () => {
    const { actual } = inPlace(state());
    expect(summary(diff(state(), actual, EMPTY_MEMORY, OPTIONS))).toEqual([
      'load unsure',
      'terminate unknown-pins',
      'initiate',
    ]);
  });

  it('put back what somebody else replaced, removed or uninstalled', () => {
    const { actual, memory } = inPlace(state());
    const shown = { name: CONNECTION, settings: { version: 'IKEv2' } };
    const altered = {
      ...actual,
      connections: new Map([[CONNECTION, { ...shown, settings: { version: 'IKEv1' } }]]),
    };
    const options = { ...OPTIONS, echo: () => echoOf(shown) };
    expect(summary(diff(state(), altered, memory, options))).toEqual(['load altered']);
    expect(
      summary(diff(state(), { ...actual, connections: new Map([[CONNECTION, shown]]) }, memory, options)),
    ).toEqual([]);
    expect(summary(diff(state(), { ...actual, connections: undefined }, memory, options))).toEqual([]);
    expect(summary(diff(state(), { ...actual, names: new Set() }, memory, OPTIONS))).toEqual(['load new']);
    expect(summary(diff(state(), { ...actual, policies: [] }, memory, OPTIONS))).toEqual(['install-trap']);
    expect(summary(diff(state(), { ...actual, keys: new Set() }, memory, OPTIONS))).toEqual(['load-key']);
  });

  it('load everything once more into a charon that was just met: it keeps what is equal', () => {
    const { actual, memory } = inPlace(state());
    expect(summary(diff(state(), actual, memory, { ...OPTIONS, fresh: true }))).toEqual(['load unsure']);
  });

  describe('bringing up', () => {
    const two = (): DesiredState => {
      const desired = state({ child: { startAction: 'start' } });
      const [connection] = desired.connections;
      const [child] = connection?.children ?? [];
      if (connection === undefined || child === undefined) throw new Error('no child');
      return {
        ...desired,
        connections: [{ ...connection, children: [child, { ...child, name: `${CHILD}-2` }] }],
      };
    };
    const traps = [trapOf(CONNECTION, CHILD), trapOf(CONNECTION, `${CHILD}-2`)];
    const steps = (
      associations: ActualState['associations'],
      options: Partial<DiffOptions> = {},
    ): string[] => {
      const { actual, memory } = inPlace(two(), { associations, policies: traps });
      return diff(two(), actual, memory, { ...OPTIONS, ...options }).map((step) =>
        step.do === 'initiate' ? `initiate ${step.child}` : step.do,
      );
    };

    it('begins with the first child, and goes on with the others only when it stands', () => {
      expect(steps([])).toEqual([`initiate ${CHILD}`]);
      expect(steps([ikeAssociation(CONNECTION)])).toEqual([`initiate ${CHILD}`]);
      expect(steps([ikeAssociation(CONNECTION, [childAssociation(CHILD)])])).toEqual([`initiate ${CHILD}-2`]);
      expect(
        steps([ikeAssociation(CONNECTION, [childAssociation(CHILD), childAssociation(`${CHILD}-2`)])]),
      ).toEqual([]);
    });

    it('waits for what is under way, and for a peer that needs time', () => {
      expect(steps([ikeAssociation(CONNECTION, [], { state: 'CONNECTING' })])).toEqual([]);
      expect(steps([], { mayInitiate: () => false })).toEqual([]);
      expect(steps([ikeAssociation(CONNECTION, [childAssociation(CHILD, { state: 'DELETING' })])])).toEqual([
        `initiate ${CHILD}`,
      ]);
    });
  });

  it('ends what the kernel has no more, and makes it anew', () => {
    const { actual, memory } = inPlace(state());
    const lost = new Set(actual.associations.map(({ id }) => id));
    expect(diff(state(), actual, memory, { ...OPTIONS, lost }).map((step) => step.do)).toEqual([
      'terminate',
      'initiate',
    ]);
  });

  describe('leftovers of a charon that was killed', () => {
    const association = (spi: string, keyed = true) => ({
      source: '10.66.0.1',
      destination: '10.66.0.2',
      protocol: 'esp',
      spi,
      mode: 'transport',
      keyed,
    });
    const leftover = (
      kernel: ActualState['kernel'],
      more: Partial<ActualState> = {},
      desired = state(),
    ): string[] => {
      const { actual, memory } = inPlace(state(), { kernel, policies: [], associations: [], ...more });
      return summary(diff(desired, actual, memory, OPTIONS)).filter((line) => line.startsWith('delete'));
    };

    it('are associations that charon does not know, except numbers it holds for a negotiation', () => {
      const kernel = {
        associations: [association('deadbeef'), association('c0000001'), association('00000001', false)],
        policies: [],
      };
      expect(
        leftover(kernel, { associations: [ikeAssociation(CONNECTION, [childAssociation(CHILD)])] }),
      ).toEqual(['delete-association deadbeef']);
    });

    it('are those of pairs that we protected once, too', () => {
      expect(leftover({ associations: [association('deadbeef')], policies: [] }, {}, NOTHING)).toEqual([
        'delete-association deadbeef',
      ]);
    });

    it("are policies that ask for an association and that charon does not know; never the guard's", () => {
      const policies = [
        policy({ index: 1 }),
        policy({ index: 2, destinationPort: 25 }),
        policy({ index: 3, destinationPort: 25, hasTemplate: false }),
        policy({
          index: 4,
          source: '10.66.0.2',
          destination: '10.66.0.1',
          direction: 'in',
          destinationPort: undefined,
          sourcePort: 110,
        }),
      ];
      const kernel = { associations: [], policies };
      expect(leftover(kernel)).toEqual(['delete-policy 1', 'delete-policy 2', 'delete-policy 4']);
      expect(leftover(kernel, { policies: [trapOf('somebody', 'else')] })).toEqual(['delete-policy 2']);
    });

    it('are not what could be of a selector that cannot be read to the end', () => {
      const kernel = { associations: [], policies: [policy({ index: 1 })] };
      const shown = (local: string, remote: string) => ({
        policies: [{ ...trapOf('a', 'b'), localSelectors: [local], remoteSelectors: [remote] }],
      });
      expect(leftover(kernel, shown('dynamic', 'dynamic'))).toEqual([]);
      expect(leftover(kernel, shown('10.66.0.1/32[tcp]', '10.66.0.2/32[tcp/unheard-of]'))).toEqual([]);
      expect(leftover(kernel, shown('0.0.0.0/0', '10.0.0.0/8'))).toEqual(['delete-policy 1']);
    });
  });
});

function policy(more: Partial<NonNullable<ActualState['kernel']>['policies'][number]>) {
  return {
    source: '10.66.0.1',
    destination: '10.66.0.2',
    direction: 'out' as const,
    index: 0,
    protocol: 'tcp',
    sourcePort: undefined,
    destinationPort: 110,
    hasTemplate: true,
    ...more,
  };
}

describe('what is remembered', () => {
  it('has both pins until the associations of the former are surely gone', () => {
    const { memory, actual } = inPlace(state());
    const desired = state({ pins: [certificates[2].certificate] });
    const steps = diff(desired, actual, memory, OPTIONS);
    const before = memoryBefore(memory, steps, desired);
    expect(before.connections[CONNECTION]?.pins).toHaveLength(2);
    // A crash at this very place: the pass after it ends the association all the same.
    expect(summary(diff(desired, actual, before, { ...OPTIONS, fresh: true }))).toContain(
      'terminate pin-removed',
    );
    const failures = steps.flatMap((step) =>
      step.do === 'terminate' ? [{ step, error: new Error() as never }] : [],
    );
    expect(memoryAfter(before, steps, failures, desired).connections[CONNECTION]?.pins).toHaveLength(2);
    const after = memoryAfter(before, steps, [], desired);
    const [connection] = desired.connections;
    expect(after.connections[CONNECTION]).toEqual(
      connection === undefined ? undefined : recordOf(connection),
    );
  });

  it('has a pin before an association can be made with it', () => {
    const { memory, actual } = inPlace(state());
    const desired = state({ pins: [certificates[1].certificate, certificates[2].certificate] });
    const before = memoryBefore(memory, diff(desired, actual, memory, OPTIONS), desired);
    expect(before.connections[CONNECTION]?.pins).toHaveLength(2);
    expect(summary(diff(state(), actual, before, OPTIONS))).toContain('terminate pin-removed');
  });

  it('forgets connections that are gone, keeps their pairs, and remembers keys of its own', () => {
    const { memory, actual } = inPlace(state());
    const steps = diff(NOTHING, actual, memory, OPTIONS);
    const after = memoryAfter(memoryBefore(memory, steps, NOTHING), steps, [], NOTHING);
    expect(after).toEqual({ connections: {}, keys: [], pairs: memory.pairs });
    const first = diff(state(), NOTHING_THERE, EMPTY_MEMORY, OPTIONS);
    expect(memoryBefore(EMPTY_MEMORY, first, state())).toMatchObject({
      keys: [keyId(state())],
      pairs: memory.pairs,
    });
  });
});
