/**
 * Who may import whom inside src/: a folder may import itself and what stands here, nothing else. The one table of it;
 * docs/architecture.md shows the same one (`layersTable`).
 */

const everyFolder = [
  'base',
  'asn1',
  'certificate',
  'ldap',
  'directory',
  'credential',
  'subscription',
  'sync',
  'lookup',
  'vici',
  'ipsec',
  'failover',
  'config',
  'health',
  'admin',
  'cli',
  'daemon',
] as const;

export type Folder = (typeof everyFolder)[number];

type Imports = readonly Folder[] | { readonly allBut: readonly Folder[] };

export const layers: Readonly<Record<Folder, Imports>> = {
  base: [],
  asn1: ['base'],
  certificate: ['base', 'asn1'],
  ldap: ['base', 'asn1', 'certificate'],
  directory: ['base', 'asn1', 'ldap'],
  credential: ['base', 'asn1', 'certificate', 'ldap', 'directory'],
  subscription: ['base', 'asn1', 'certificate', 'ldap', 'directory', 'credential'],
  sync: ['base', 'asn1', 'certificate', 'ldap', 'directory', 'subscription', 'credential'],
  lookup: ['base', 'asn1', 'certificate', 'ldap', 'directory'],
  vici: ['base'],
  ipsec: ['base', 'vici', 'certificate', 'config'],
  failover: ['base', 'vici', 'ipsec'],
  config: ['base', 'credential'],
  health: { allBut: ['daemon', 'cli'] },
  admin: { allBut: ['daemon', 'cli'] },
  // Of daemon only the files that stand directly in src/daemon/: the entry functions.
  cli: { allBut: [] },
  daemon: { allBut: ['cli'] },
};

export function isFolder(name: string): name is Folder {
  return Object.hasOwn(layers, name);
}

/** Whether a file of `src/<from>/` may import `src/<target>`; `target` is a path such as `ldap/dn.ts`. */
export function mayImport(from: Folder, target: string): boolean {
  const [to = '', ...rest] = target.split('/');
  if (to === from) return true;
  if (!isFolder(to)) return false;
  if (from === 'cli' && to === 'daemon' && rest.length > 1) return false;
  const allowed = layers[from];
  return 'allBut' in allowed ? !allowed.allBut.includes(to) : allowed.includes(to);
}

/** The table as Markdown, for docs/architecture.md. */
export function layersTable(): string {
  const rows = everyFolder.map((folder) => {
    const allowed = layers[folder];
    if (folder === 'cli') return '| cli | everything; of daemon only the files directly in src/daemon |';
    if ('allBut' in allowed) return `| ${folder} | everything but ${allowed.allBut.join(', ')} |`;
    return `| ${folder} | ${allowed.length === 0 ? 'nothing' : allowed.join(', ')} |`;
  });
  return ['| folder | may import |', '|---|---|', ...rows].join('\n');
}
