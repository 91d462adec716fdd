/**
 * A scenario as it is written: a folder with `description.txt`, `scenario.dat`, and for a host the files it starts with. Owns the
 * format, which is that of strongSwan's own tests (`host :: command :: pattern :: yes`); pure. docs/lab.md describes it.
 */

export interface HostLine {
  readonly name: string;
  readonly hasVirtual: boolean;
}

export interface ProtectedPort {
  readonly protocol: 'tcp' | 'udp';
  readonly first: number;
  readonly last: number;
}

/** A command that has to succeed, or one whose output is looked at. */
export interface ScenarioLine {
  readonly at: string;
  readonly host: string;
  readonly command: string;
  readonly expect?: {
    readonly pattern: RegExp;
    readonly wanted: boolean;
    /** The command is repeated until the expectation holds, for this long. */
    readonly withinMs: number;
    /** The first group of the pattern becomes this figure. */
    readonly figure?: string;
  };
}

export interface Scenario {
  readonly hosts: readonly HostLine[];
  /** Folders of files, lowest first; the scenario's own comes last. */
  readonly files: readonly string[];
  readonly machines: readonly string[];
  /** A packet of these in clear, after the capture's mark, fails the scenario. */
  readonly protects: readonly ProtectedPort[];
  readonly lines: readonly ScenarioLine[];
  /** File of steps that are run once a guest: hosts begin with the `/etc` and `/var` that came of them. */
  readonly prepared?: string;
}

const SEPARATOR = /\s::(?:\s|$)/;

/** Throws an Error that names file and line. `read` gives the text of an included file. */
export function parseScenario(file: string, text: string, read: (name: string) => string): Scenario {
  const scenario = parseSteps(file, text, read);
  if (scenario.lines.some(({ expect }) => expect !== undefined)) return scenario;
  throw new Error(`${file}: it expects nothing`);
}

/** The same, of a file that only prepares hosts. */
export function parseSteps(file: string, text: string, read: (name: string) => string): Scenario {
  const found: {
    hosts: HostLine[];
    files: string[];
    machines: string[];
    protects: ProtectedPort[];
    lines: ScenarioLine[];
    prepared?: string;
  } = { hosts: [], files: [], machines: [], protects: [], lines: [] };
  const parse = (name: string, contents: string, depth: number): void => {
    for (const { line, at } of logicalLines(name, contents)) {
      const [directive = '', ...words] = line.split(/\s+/);
      if (!directive.startsWith('@')) {
        found.lines.push(parseLine(line, at));
        continue;
      }
      switch (directive) {
        case '@hosts':
          found.hosts.push(
            ...words.map((word) => ({ name: word.replace(/\+vip$/, ''), hasVirtual: word.endsWith('+vip') })),
          );
          break;
        case '@files':
          found.files.push(...words);
          break;
        case '@machine':
          found.machines.push(...words);
          break;
        case '@protects':
          found.protects.push(...words.map((word) => parsePort(word, at)));
          break;
        case '@prepared':
          found.prepared = words[0] ?? '';
          break;
        case '@include':
          if (depth > 3) throw new Error(`${at}: included too deeply`);
          for (const word of words) parse(word, read(word), depth + 1);
          break;
        default:
          throw new Error(`${at}: unknown directive ${directive}`);
      }
    }
  };
  parse(file, text, 0);
  const names = new Set([...found.hosts.map(({ name }) => name), 'observer']);
  const stranger = found.lines.find(({ host }) => !names.has(host));
  if (stranger !== undefined) throw new Error(`${stranger.at}: host ${stranger.host} is not among @hosts`);
  return { ...found, machines: found.machines.length === 0 ? ['uml', 'qemu'] : found.machines };
}

/** Without comments and empty lines; a backslash at the end goes on. */
function* logicalLines(name: string, text: string): Generator<{ line: string; at: string }> {
  let held = '';
  for (const [index, raw] of text.split('\n').entries()) {
    if (held === '' && /^\s*(#|$)/.test(raw)) continue;
    held += raw.trimEnd();
    if (held.endsWith('\\')) {
      held = `${held.slice(0, -1)}\n`;
      continue;
    }
    yield { line: held.trim(), at: `${name}:${index + 1}` };
    held = '';
  }
}

function parseLine(line: string, at: string): ScenarioLine {
  const [host = '', command = '', pattern, verdict, figure, ...rest] = line
    .split(SEPARATOR)
    .map((part) => part.trim());
  if (host === '' || command === '' || rest.length > 0) throw new Error(`${at}: not "host :: command"`);
  if (pattern === undefined) return { at, host, command };
  const [, wanted, seconds] = /^(yes|no)(?: (\d+)s)?$/.exec(verdict ?? '') ?? [];
  if (wanted === undefined || pattern === '')
    throw new Error(`${at}: not "host :: command :: pattern :: yes|no [SECONDSs] [:: figure]"`);
  return {
    at,
    host,
    command,
    expect: {
      pattern: new RegExp(pattern, 'm'),
      wanted: wanted === 'yes',
      withinMs: Number(seconds ?? 0) * 1000,
      ...(figure === undefined ? {} : { figure }),
    },
  };
}

/** `tcp/110`, `udp/88`, `tcp/49152-65535`. */
function parsePort(word: string, at: string): ProtectedPort {
  const [, protocol, first, last = first] = /^(tcp|udp)\/(\d+)(?:-(\d+))?$/.exec(word) ?? [];
  if (protocol === undefined) throw new Error(`${at}: not a protocol and port: ${word}`);
  return { protocol: protocol as 'tcp' | 'udp', first: Number(first), last: Number(last) };
}
