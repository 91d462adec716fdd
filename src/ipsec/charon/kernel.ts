/**
 * The kernel's IPsec tables, as `ip xfrm` shows and changes them: needed only for what charon itself does not know, the leftovers of one that was
 * killed. Reading is pure and bounded; the driver runs `ip` (iproute2), whose output for xfrm is text only.
 */
import { PosternError } from '../../base/error.ts';
import { canonicalAddress } from '../policy/address.ts';
import type { RunProgram } from '../run-program.ts';

export interface KernelAssociation {
  readonly source: string;
  readonly destination: string;
  /** `esp`, `ah`, `comp`. */
  readonly protocol: string;
  /** Hexadecimal, eight digits. */
  readonly spi: string;
  readonly mode: string;
  /** False while charon only holds the number for a negotiation. */
  readonly keyed: boolean;
}

export interface KernelPolicy {
  readonly source: string;
  readonly destination: string;
  readonly direction: 'in' | 'out' | 'fwd';
  /** The kernel's number of it: `ip` does not show the masks of port ranges, so that its selector does not name it. */
  readonly index: number;
  /** IP protocol by number or name as `ip` writes it; undefined for all. */
  readonly protocol: string | undefined;
  readonly sourcePort: number | undefined;
  readonly destinationPort: number | undefined;
  /** A policy that asks for an association, neither a plain pass nor a block. */
  readonly hasTemplate: boolean;
}

export interface KernelState {
  readonly associations: readonly KernelAssociation[];
  readonly policies: readonly KernelPolicy[];
}

export interface XfrmKernel {
  dump(): Promise<KernelState>;
  /** What is gone already is no error. */
  deleteAssociation(association: KernelAssociation): Promise<void>;
  deletePolicy(policy: KernelPolicy): Promise<void>;
}

/** Entries of one table that are looked at; more are left alone. */
const MOST_ENTRIES = 200_000;

/** `ip xfrm state`: each entry begins at the left margin. */
export function readAssociations(text: string): KernelAssociation[] {
  return entries(text, 'src').flatMap((lines): KernelAssociation[] => {
    const [source, destination] = ends(lines[0] ?? '');
    const what = /^\s+proto (\w+) spi 0x([0-9a-f]{8})(?:\(\d+\))? .*\bmode (\w+)/.exec(lines[1] ?? '');
    if (source === undefined || destination === undefined || what === null) return [];
    return [
      {
        source,
        destination,
        protocol: what[1] ?? '',
        spi: what[2] ?? '',
        mode: what[3] ?? '',
        keyed: lines.some((line) => /^\s+(aead|enc|auth(-trunc)?|comp) /.test(line)),
      },
    ];
  });
}

/** `ip -s xfrm policy`. Policies of sockets (charon's own bypass for IKE) and of networks are left out. */
export function readPolicies(text: string): KernelPolicy[] {
  return entries(text, 'src').flatMap((lines): KernelPolicy[] => {
    const first = (lines[0] ?? '').trim();
    const [source, destination] = ends(first);
    const what = /^\s+dir (in|out|fwd) .*\bindex (\d+) /.exec(lines[1] ?? '');
    if (source === undefined || destination === undefined || what === null) return [];
    return [
      {
        source,
        destination,
        direction: what[1] as KernelPolicy['direction'],
        index: Number(what[2]),
        protocol: /\bproto (\S+)/.exec(first)?.[1],
        sourcePort: port(/\bsport (\d+)/.exec(first)),
        destinationPort: port(/\bdport (\d+)/.exec(first)),
        hasTemplate: lines.some((line) => /^\s+tmpl /.test(line)),
      },
    ];
  });
}

function* lineGroups(text: string, begin: string): Generator<string[]> {
  let group: string[] = [];
  for (const line of text.split('\n')) {
    if (line.startsWith(`${begin} `)) {
      if (group.length > 0) yield group;
      group = [];
    } else if (group.length === 0 || line.trim() === '') continue;
    group.push(line);
  }
  if (group.length > 0) yield group;
}

const entries = (text: string, begin: string): string[][] =>
  lineGroups(text, begin).take(MOST_ENTRIES).toArray();

/** Both addresses when both are of one host. */
function ends(line: string): [string | undefined, string | undefined] {
  const match = /^src (\S+) dst (\S+)/.exec(line);
  return [host(match?.[1]), host(match?.[2])];
}

function host(text: string | undefined): string | undefined {
  const [address = '', length] = (text ?? '').split('/');
  if (length !== undefined && length !== (address.includes(':') ? '128' : '32')) return undefined;
  return canonicalAddress(address);
}

const port = (match: RegExpExecArray | null): number | undefined =>
  match === null ? undefined : Number(match[1]);

export function xfrmKernel(run: RunProgram): XfrmKernel {
  const act = async (what: string, args: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await run('ip', ['-s', 'xfrm', ...args]);
    // Not there any more.
    if (code === 0 || (what.startsWith('delete') && /No such (process|file)/.test(stderr))) return stdout;
    throw new PosternError(
      'ipsec.kernel',
      `the kernel's IPsec tables cannot be used (${what}): ${stderr.trim()}`,
      {
        hint: 'needs root, iproute2, and a kernel with XFRM: try ip xfrm policy',
      },
    );
  };
  return {
    async dump() {
      // nokeys: nothing of them ever gets into our memory.
      const states = await act('read associations', ['state', 'list', 'nokeys']);
      return {
        associations: readAssociations(states),
        policies: readPolicies(await act('read policies', ['policy', 'list', 'nosock'])),
      };
    },
    async deleteAssociation({ source, destination, protocol, spi }) {
      await act('delete an association', [
        'state',
        'delete',
        'src',
        source,
        'dst',
        destination,
        'proto',
        protocol,
        'spi',
        `0x${spi}`,
      ]);
    },
    async deletePolicy({ index, direction }) {
      await act('delete a policy', ['policy', 'delete', 'index', String(index), 'dir', direction]);
    },
  };
}
