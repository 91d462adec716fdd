/**
 * A compiled policy as it stands in a file: `state.json` of the folder where the confirmed one is, or of the one that is being tried. Schema, making and reading;
 * no secret is in it, keys are named by their files. The reconciler, the guard and the commands all work from this and never from the policy's text,
 * so that editing the text changes nothing before `apply`.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { z } from 'zod';
import { PosternError } from '../../base/error.ts';
import type { Files } from '../../base/files.ts';
import { Secret } from '../../base/secret.ts';
import type { DesiredState } from '../desired.ts';
import { guardScope } from '../guard/scope.ts';
import { compile } from '../policy/compile.ts';
import type { PolicyView } from '../policy/explain.ts';
import type { Policy } from '../policy/policy.ts';

const port = z.int().min(0).max(65_535);
const family = z.enum(['ipv4', 'ipv6']);
const selector = z.strictObject({
  address: z.string(),
  protocol: z.int().min(0).max(255),
  ports: z.tuple([port, port]),
});
const selectors = z.array(selector);
const child = z.strictObject({
  name: z.string(),
  localSelectors: selectors,
  remoteSelectors: selectors,
  espProposals: z.array(z.string()),
  rekeySeconds: z.number(),
  lifeSeconds: z.number(),
  startAction: z.enum(['trap', 'start']),
  dpdAction: z.enum(['clear', 'trap', 'start']),
  closeAction: z.enum(['none', 'trap', 'start']),
});
const end = { id: z.string(), addresses: z.array(z.string()), port };
const connection = z.strictObject({
  name: z.string(),
  family,
  local: z.strictObject({ ...end, certificate: z.string() }),
  remote: z.strictObject({ ...end, certificates: z.array(z.string()) }),
  ikeProposals: z.array(z.string()),
  ikeRekeySeconds: z.number(),
  dpdSeconds: z.number(),
  encapsulate: z.boolean(),
  children: z.array(child),
});
const bypass = z.strictObject({
  name: z.string(),
  family,
  localSelectors: selectors,
  remoteSelectors: selectors,
});
const ports = z.array(
  z.strictObject({ protocol: z.union([z.literal(6), z.literal(17)]), first: port, last: port }),
);
const scope = z.strictObject({
  drops: z.boolean(),
  service: z.enum(['peer', 'own']),
  towards: z.array(z.strictObject({ peers: z.array(z.string()), ports })),
  anybody: ports,
  everything: z.array(z.string()),
  clearFrom: z.array(z.string()),
  sshPorts: z.array(port),
  own: z.array(z.string()),
});

const bodySchema = z.strictObject({
  format: z.literal(1),
  own: z.array(z.string()),
  connections: z.array(connection),
  bypasses: z.array(bypass),
  settings: z.strictObject({
    retransmitTimeout: z.number(),
    retransmitBase: z.number(),
    retransmitTries: z.int(),
  }),
  /** Where the private keys of the own certificates are. */
  keys: z.array(z.strictObject({ keyId: z.string(), file: z.string() })),
  guard: z.strictObject({ mechanism: z.enum(['nft', 'xfrm', 'none']), scope }),
});

export const policyStateSchema = bodySchema.extend({
  /** Digest of the rest: equal policies have equal ids. */
  id: z.string(),
});
export type PolicyState = z.infer<typeof policyStateSchema>;

export const STATE_FILE = 'state.json';

export interface StateParts {
  readonly policy: Policy;
  readonly keys: PolicyState['keys'];
  readonly mechanism: PolicyState['guard']['mechanism'];
  /** First number of the version of this host's charon. */
  readonly charon?: number;
}

export function makeState({ policy, keys, mechanism, charon }: StateParts): PolicyState {
  const body = {
    format: 1 as const,
    own: policy.own.flatMap(({ addresses }) => Object.values(addresses)),
    ...compile(policy, charon),
    keys: [...keys],
    guard: { mechanism, scope: guardScope(policy) },
  };
  // Through the schema's eyes: as it will be read, so that what is compared is equal.
  const plain = bodySchema.parse(JSON.parse(JSON.stringify(body)));
  return { ...plain, id: createHash('sha256').update(JSON.stringify(plain)).digest('hex').slice(0, 32) };
}

/** What a policy decides, without files. */
export function viewOf(policy: Policy, charon?: number): PolicyView {
  return stateView(
    makeState({ policy, keys: [], mechanism: 'none', ...(charon === undefined ? {} : { charon }) }),
  );
}

export function stateView(state: PolicyState | undefined): PolicyView {
  return {
    own: state?.own ?? [],
    connections: state?.connections ?? [],
    bypasses: state?.bypasses ?? [],
    guard: state?.guard.scope ?? EMPTY_SCOPE,
  };
}

const EMPTY_SCOPE = {
  drops: false,
  service: 'peer',
  towards: [],
  anybody: [],
  everything: [],
  clearFrom: [],
  sshPorts: [],
  own: [],
} as const satisfies PolicyState['guard']['scope'];

/** Undefined when the folder has none. Throws `ipsec.trial` for a file that cannot be used. */
export async function readState(files: Files, folder: string): Promise<PolicyState | undefined> {
  const path = join(folder, STATE_FILE);
  let text: string;
  try {
    text = (await files.readFile(path)).toString('utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new PosternError('file.unreadable', `cannot read ${path}`, { cause, hint: 'run as root' });
  }
  try {
    return policyStateSchema.parse(JSON.parse(text));
  } catch {
    throw new PosternError('ipsec.trial', `${path} is damaged, or of another version`, {
      cause: new Error('it is not what "postern ipsec apply" writes'),
      hint: 'apply the policy again: postern ipsec apply',
    });
  }
}

/** With the private keys read. Throws `file.unreadable`. */
export async function desiredOf(files: Files, state: PolicyState | undefined): Promise<DesiredState> {
  if (state === undefined) return NOTHING;
  const keys = await Promise.all(
    state.keys.map(async ({ keyId, file }) => {
      try {
        return { keyId, privateKey: new Secret(await files.readFile(file)) };
      } catch (cause) {
        throw new PosternError('file.unreadable', `cannot read the private key ${file}`, {
          cause,
          hint: 'run as root; a key that is lost is made anew by "postern ipsec peer export", and its certificate goes to the peers again',
        });
      }
    }),
  );
  const { connections, bypasses, settings } = state;
  return { connections, bypasses, settings, keys };
}

const NOTHING: DesiredState = {
  connections: [],
  keys: [],
  bypasses: [],
  settings: { retransmitTimeout: 4, retransmitBase: 1.8, retransmitTries: 5 },
};
