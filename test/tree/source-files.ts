/** The project's own TypeScript files and their syntax trees, for the tests that look at the tree as a whole. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { parseAst } from 'vitest/node';

export const top = path.resolve(import.meta.dirname, '../..');

const roots = ['src', 'test', 'bench', 'lab', 'web', 'scripts'];
const notOurs = new Set(['node_modules', 'dist', 'vectors']);

export interface SourceFile {
  /** From the top of the project, with `/`. */
  readonly path: string;
  readonly text: string;
}

/** A node of the syntax tree (ESTree with TypeScript's additions): read by name only. */
export interface SyntaxNode {
  readonly type: string;
  readonly start: number;
  readonly [name: string]: unknown;
}

export function sourceFiles(): SourceFile[] {
  const found: SourceFile[] = [];
  const visit = (folder: string): void => {
    for (const entry of readdirSync(path.join(top, folder), { withFileTypes: true })) {
      const file = `${folder}/${entry.name}`;
      if (entry.isDirectory() && !notOurs.has(entry.name)) visit(file);
      else if (/\.tsx?$/.test(entry.name)) {
        found.push({ path: file, text: readFileSync(path.join(top, file), 'utf8') });
      }
    }
  };
  const present = new Set(readdirSync(top));
  for (const root of roots) if (present.has(root)) visit(root);
  return found.toSorted((a, b) => (a.path < b.path ? -1 : 1));
}

function isNode(value: unknown): value is SyntaxNode {
  return typeof value === 'object' && value !== null && typeof (value as SyntaxNode).type === 'string';
}

/** The value of a field as a node, when it is one of this type. */
export function child(node: SyntaxNode, field: string, type: string): SyntaxNode | undefined {
  const value = node[field];
  return isNode(value) && value.type === type ? value : undefined;
}

/** Every node of the file, parents first. Comments and the contents of strings are not among them. */
export function* nodesOf(file: SourceFile): Generator<SyntaxNode> {
  const lang = file.path.endsWith('.tsx') ? 'tsx' : 'ts';
  const stack: SyntaxNode[] = [parseAst(file.text, { lang }) as unknown as SyntaxNode];
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    yield node;
    const children = Object.values(node).flat().filter(isNode);
    stack.push(...children.toReversed());
  }
}

export function lineOf(file: SourceFile, offset: number): number {
  return file.text.slice(0, offset).split('\n').length;
}

export function place(file: SourceFile, node: SyntaxNode): string {
  return `${file.path}:${lineOf(file, node.start)}`;
}

/** `src/ldap/dn.ts` -> `ldap`; undefined outside src/. */
export function folderOf(file: SourceFile): string | undefined {
  return /^src\/([^/]+)\//.exec(file.path)?.[1];
}

export function isTest(file: SourceFile): boolean {
  return /\.test\.tsx?$/.test(file.path);
}

/** What a module imports or re-exports (types too): the specifier as written, and the node to point at. */
export function importsOf(file: SourceFile): { node: SyntaxNode; specifier: string }[] {
  const found: { node: SyntaxNode; specifier: string }[] = [];
  const kinds = new Set([
    'ImportDeclaration',
    'ExportNamedDeclaration',
    'ExportAllDeclaration',
    'ImportExpression',
    'TSImportType',
  ]);
  for (const node of nodesOf(file)) {
    if (!kinds.has(node.type)) continue;
    const specifier = child(node, 'source', 'Literal')?.['value'];
    if (typeof specifier === 'string') found.push({ node, specifier });
  }
  return found;
}
