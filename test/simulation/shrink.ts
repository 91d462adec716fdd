/** A failing plan with as few faults as still make it fail in the same way. */
import type { Fault, PairPlan } from './plan.ts';
import { firstViolation } from './simulate.ts';
import { type Machines, WHOLE } from './world.ts';

/** The same kind of violation, whatever numbers it names. */
export function kindOf(violation: string | undefined): string | undefined {
  return violation?.replaceAll(/\d+/g, 'N');
}

/** `plan` itself when nothing is violated. Takes away halves, then quarters, ... then single faults. */
export function shrink(plan: PairPlan, rules: Machines = WHOLE): PairPlan {
  const kind = kindOf(firstViolation(plan, rules));
  if (kind === undefined) return plan;
  const fails = (faults: readonly Fault[]): boolean =>
    kindOf(firstViolation({ ...plan, faults }, rules)) === kind;
  let { faults } = plan;
  for (let size = Math.ceil(faults.length / 2); size >= 1; ) {
    let smaller = false;
    for (let from = 0; from < faults.length; ) {
      const left = [...faults.slice(0, from), ...faults.slice(from + size)];
      if (fails(left)) {
        faults = left;
        smaller = true;
      } else from += size;
    }
    if (size > 1) size = Math.ceil(size / 2);
    else if (!smaller) break;
  }
  return { ...plan, faults };
}
