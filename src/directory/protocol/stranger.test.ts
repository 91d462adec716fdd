/** Whoever has no rights at all costs nothing and learns nothing: not even by how long an answer takes. */
import { expect, it } from 'vitest';
import { ask } from '../../../test/support/directory-questions.ts';
import { addition, serveDirectory } from '../../../test/support/served-directory.ts';
import { parseFilter } from '../../ldap/filter.ts';

const HASH = Buffer.alloc(16, 1);

it.each(['dc=example,dc=org', ''])(
  'a stranger who asks below "%s" makes the directory look at nothing',
  async (base) => {
    let hashed = 0;
    await using served = await serveDirectory({
      directory: {
        indexes: ['posternAddress'],
        addressHasher: () => {
          hashed++;
          return HASH;
        },
      },
      entries: [
        addition('dc=example,dc=org', { objectClass: ['domain'], dc: ['example'] }),
        addition('cn=00000000-0000-4000-8000-000000000001,dc=example,dc=org', {
          objectClass: ['posternRecipient'],
          posternAddress: [HASH],
        }),
      ],
    });
    // Both ways, the fast one and the ordinary one.
    const questions = ['(mail=ann@example.org)', '(&(mail=ann@example.org))'].map((text) =>
      parseFilter(text),
    );
    const stranger = await served.client('anonymous');
    for (const filter of questions) expect((await ask(stranger, { base, filter })).entries).toEqual({});
    expect(hashed).toBe(0);
    const administrator = await served.client();
    for (const filter of questions) {
      expect(Object.keys((await ask(administrator, { base, filter })).entries)).toHaveLength(1);
    }
    expect(hashed).toBe(2);
  },
);
