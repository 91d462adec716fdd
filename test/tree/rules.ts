/** What this project asks of its sources beyond types and lint. Each rule is a function of one file. */
import path from 'node:path';
import { isFolder, layers, mayImport } from './layers.ts';
import {
  child,
  folderOf,
  importsOf,
  isTest,
  nodesOf,
  place,
  type SourceFile,
  type SyntaxNode,
} from './source-files.ts';

const maximumLines = 400;

export function lengthProblems(file: SourceFile): string[] {
  if (!/^(src|web|lab|bench)\//.test(file.path)) return [];
  const lines = file.text.replace(/\n$/, '').split('\n').length;
  return lines <= maximumLines
    ? []
    : [`${file.path}:${lines}: more than ${maximumLines} lines: make it two files`];
}

export function nameProblems(file: SourceFile): string[] {
  const good = file.path.split('/').every((part) => /^[a-z0-9]+(-[a-z0-9]+)*(\.[a-z0-9]+)*$/.test(part));
  return good ? [] : [`${file.path}:1: file and folder names are kebab-case`];
}

/** Import directions, and packages that are not in `dependencies`. Tests may import anything. */
export function importProblems(file: SourceFile, dependencies: ReadonlySet<string>): string[] {
  const folder = folderOf(file);
  if (isTest(file) || !file.path.startsWith('src/')) return [];
  if (folder === undefined || !isFolder(folder)) {
    return [`${file.path}:1: not in a folder that test/tree/layers.ts knows`];
  }
  const allowed = layers[folder];
  const rule =
    'allBut' in allowed
      ? `anything but ${[...allowed.allBut, ...(folder === 'cli' ? ["daemon's internals"] : [])].join(', ')}`
      : ['itself', ...allowed].join(', ');
  return importsOf(file).flatMap(({ node, specifier }) => {
    const problem = (text: string): string[] => [`${place(file, node)}: imports ${specifier}: ${text}`];
    if (specifier.startsWith('.')) {
      const target = path.posix.join(path.posix.dirname(file.path), specifier);
      if (!target.startsWith('src/')) return problem('only tests import from outside src/');
      return mayImport(folder, target.slice('src/'.length)) ? [] : problem(`${folder} may import ${rule}`);
    }
    if (specifier.startsWith('node:')) return [];
    const name = specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
    return dependencies.has(name) ? [] : problem('not among the dependencies of package.json');
  });
}

const clockCalls = new Set(['setTimeout', 'setInterval', 'setImmediate', 'Date']);
const clockMembers = new Set([
  'Date.now',
  'performance.now',
  'process.hrtime',
  'process.uptime',
  'AbortSignal.timeout',
  'Math.random',
  ...[...clockCalls].map((name) => `globalThis.${name}`),
]);
const randomNames = new Set([
  'randomBytes',
  'randomFill',
  'randomFillSync',
  'randomInt',
  'randomUUID',
  'getRandomValues',
]);
const timerModules = new Set(['node:timers', 'node:timers/promises', 'timers', 'timers/promises']);

function nameOf(node: SyntaxNode | undefined): string | undefined {
  const name = node?.['name'];
  return typeof name === 'string' ? name : undefined;
}

/** `object.property` of plain names, else undefined. */
function memberOf(node: SyntaxNode): { object: string; property: string } | undefined {
  if (node.type !== 'MemberExpression' || node['computed'] === true) return undefined;
  const object = nameOf(child(node, 'object', 'Identifier'));
  const property = nameOf(child(node, 'property', 'Identifier'));
  return object === undefined || property === undefined ? undefined : { object, property };
}

function clockAt(node: SyntaxNode): string | undefined {
  const called = nameOf(child(node, 'callee', 'Identifier'));
  if (node.type === 'CallExpression' && called !== undefined && clockCalls.has(called)) return `${called}()`;
  if (node.type === 'NewExpression' && called === 'Date' && (node['arguments'] as unknown[]).length === 0) {
    return 'new Date()';
  }
  const member = memberOf(node);
  if (member !== undefined) {
    const text = `${member.object}.${member.property}`;
    if (clockMembers.has(text)) return text;
    if (/^(crypto|webcrypto)$/.test(member.object) && randomNames.has(member.property)) return text;
  }
  if (node.type === 'ImportSpecifier') {
    const imported = nameOf(child(node, 'imported', 'Identifier'));
    if (imported !== undefined && randomNames.has(imported)) return `import of ${imported}`;
  }
  if (node.type === 'ImportDeclaration') {
    const source = child(node, 'source', 'Literal')?.['value'];
    if (typeof source === 'string' && timerModules.has(source)) return `import of ${source}`;
  }
  return undefined;
}

/** Time and randomness are handed in; only base/ reads them. */
export function clockProblems(file: SourceFile): string[] {
  const folder = folderOf(file);
  if (isTest(file) || folder === undefined || folder === 'base') return [];
  return [...nodesOf(file)].flatMap((node) => {
    const what = clockAt(node);
    return what === undefined
      ? []
      : [
          `${place(file, node)}: ${what}: clocks and randomness are in src/base/ only; take them as a parameter`,
        ];
  });
}

/** The process (arguments, environment, exit, signals) belongs to the wiring and the command line. */
export function processProblems(file: SourceFile): string[] {
  const folder = folderOf(file);
  if (isTest(file) || folder === undefined || folder === 'daemon' || folder === 'cli') return [];
  return [...nodesOf(file)].flatMap((node) => {
    const source =
      node.type === 'ImportDeclaration' ? child(node, 'source', 'Literal')?.['value'] : undefined;
    const imported = source === 'node:process' || source === 'process';
    const member = node.type === 'MemberExpression' ? child(node, 'object', 'Identifier') : undefined;
    const used = nameOf(member) === 'process' || memberText(node) === 'globalThis.process';
    return imported || used
      ? [
          `${place(file, node)}: process: only src/daemon and src/cli know the process; take it as a parameter`,
        ]
      : [];
  });
}

function memberText(node: SyntaxNode): string {
  const member = memberOf(node);
  return member === undefined ? '' : `${member.object}.${member.property}`;
}

const testNames = new Set(['it', 'test', 'describe', 'suite']);
const switches = new Set(['skip', 'only', 'todo', 'skipIf', 'runIf']);

/** No test is switched off, and none switches the others off. */
export function switchedOffProblems(file: SourceFile): string[] {
  return [...nodesOf(file)].flatMap((node) => {
    if (node.type !== 'MemberExpression') return [];
    const property = nameOf(child(node, 'property', 'Identifier'));
    if (property === undefined || !switches.has(property)) return [];
    // it.skip, describe.concurrent.only, ...
    let object: SyntaxNode = node;
    for (let next = child(object, 'object', 'MemberExpression'); next !== undefined; ) {
      object = next;
      next = child(object, 'object', 'MemberExpression');
    }
    const name = nameOf(child(object, 'object', 'Identifier'));
    return name !== undefined && testNames.has(name)
      ? [`${place(file, node)}: ${name}.${property}: every test runs; repair it or delete it`]
      : [];
  });
}
