/** A directory server in a process of its own, to be killed: node directory-child.ts FOLDER SOCKET. Says "ready" when it listens. */
import { argv, stdout } from 'node:process';
import { systemClock } from '../../src/base/clock.ts';
import { systemFiles } from '../../src/base/files.ts';
import { silentLog } from '../../src/base/log.ts';
import { systemRandom } from '../../src/base/random.ts';
import { Directory } from '../../src/directory/directory.ts';
import { DirectoryServer } from '../../src/directory/server.ts';
import { openStore } from '../../src/directory/store/store.ts';
import { LdapListener } from '../../src/ldap/server.ts';
import { addition } from './served-directory.ts';

const [folder = '', path = ''] = argv.slice(2);
const parts = { clock: systemClock, random: systemRandom };
const store = await openStore({
  folder,
  files: systemFiles,
  ...parts,
  // Snapshots often, so that kills meet them too.
  tuning: { snapshotJournalBytes: 64 * 1024, slabBytes: 256 * 1024, snapshotChunkBytes: 8192 },
});
const directory = new Directory({
  store,
  ...parts,
  log: silentLog,
  contexts: ['dc=example,dc=org'],
  access: {
    rules: [
      {
        roles: ['administrator'],
        subtree: '',
        rights: ['search', 'read', 'write', 'add', 'delete', 'rename'],
      },
    ],
    secrets: [],
  },
});
if (directory.resolve('dc=example,dc=org') === 0)
  await directory.apply([addition('dc=example,dc=org', { objectClass: ['domain'] })]);
const server = new DirectoryServer({
  directory,
  initialIdentity: () => ({ role: 'administrator', authorizationId: 'u:test', dn: 'cn=test' }),
});
const listener = new LdapListener({ address: { path }, ...parts, log: silentLog, accept: server.accept });
await listener.start();
stdout.write('ready\n');
