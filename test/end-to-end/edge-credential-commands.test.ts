/** `postern credential` and `postern subscription recover` on an edge, against its daemon. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { instanceControl } from '../../src/credential/renewal-messages.ts';
import { POSTERN_EXTENDED } from '../../src/ldap/postern-oid.ts';
import type { EdgeCredentialsDocument, EdgeStatus } from '../../src/admin/documents.ts';
import { openEdgeCopy } from '../support/data-copy.ts';
import { AttackedEdge, code, type RogueHub } from '../support/rogue-hub.ts';
import type { CommandResult } from '../support/deployment.ts';

let edge: AttackedEdge;
let hub: RogueHub;
let other: RogueHub;
beforeAll(async () => {
  edge = await AttackedEdge.start();
  hub = await edge.hub('hub1');
  other = await edge.hub('hub2');
});
afterAll(() => edge[Symbol.asyncDispose]());

const run = (...words: string[]): Promise<CommandResult> => edge.site.edge(...words);
const list = async (): Promise<EdgeCredentialsDocument> =>
  JSON.parse((await run('credential', 'list', '--json')).stdout) as EdgeCredentialsDocument;

describe('on an edge', () => {
  it('credential list: hubs with accounts, windows, when they were heard, recoveries left', async () => {
    const document = await list();
    expect(document).toMatchObject({ version: 1, role: 'edge', edge: 'edge1' });
    expect(document.hubs).toMatchObject([
      {
        hub: 'hub1',
        state: 'active',
        recoveriesLeft: 3,
        recoveryAllowed: false,
        accounts: [{ name: 'ESRA.edge1.hub1.0', state: 'active', by: 'push', proved: true }],
      },
      { hub: 'hub2' },
    ]);
    expect(document.hubs[0]?.lastHeard).toBeGreaterThan(document.now - 600_000);
    const { stdout } = await run('credential', 'list');
    expect(stdout).toMatch(
      /^hub hub1: active; heard .*; recoveries left: 3\naccount +state +proved +effective/,
    );
    expect(stdout).toMatch(/\nESRA\.edge1\.hub1\.0 +active +yes +20\d\d-.* +push\n/);
  });

  it.each<[readonly string[], number, RegExp]>([
    [['credential', 'resolve', 'hub1'], 7, /hub1: it is not one that is suspended/],
    [['credential', 'revoke', 'nobody'], 6, /postern credential list/],
    [['subscription', 'recover', 'hub1'], 2, /recover --allow hub1/],
    [['subscription', 'recover', '--allow'], 2, /more than one hub can recover: hub1, hub2/],
    [['subscription', 'recover', '--allow', 'nobody'], 6, /hubs of this edge/],
  ])('%j exits with %i', async (words, exitCode, text) => {
    const result = await run(...words);
    expect([result.exitCode, result.stdout]).toEqual([exitCode, '']);
    expect(result.stderr).toMatch(text);
  });

  it('subscription recover --allow grants one more recovery', async () => {
    const { stdout } = await run('subscription', 'recover', '--allow', 'hub1');
    expect(stdout).toContain('hub1: its next recovery is granted');
    expect((await list()).hubs[0]).toMatchObject({ recoveriesLeft: 4, recoveryAllowed: true });
    expect((await run('credential', 'list')).stdout).toContain('recoveries left: 4 (one by permission)');
  });

  it('credential revoke ACCOUNT deletes it and ends its sessions', async () => {
    const session = await hub.bindEsra();
    const { stdout } = await run('credential', 'revoke', 'esra.EDGE1.hub1.0');
    expect(stdout).toContain('ESRA.edge1.hub1.0 revoked: its hub recovers by its pinned key');
    await session.client.closed;
    expect(await code(hub.bindEsra())).toBe(49);
    expect((await list()).hubs[0]).toMatchObject({ state: 'active', accounts: [] });
    expect((await run('credential', 'list')).stdout).toContain('\nno account\n');
  });

  it('credential revoke HUB shuts it out until it brings a new file', async () => {
    const session = await other.bindEsra();
    const document = JSON.parse((await run('credential', 'revoke', 'hub2', '--json')).stdout) as unknown;
    expect(document).toMatchObject({
      revoked: 'hub2',
      note: expect.stringContaining('new subscription file'),
    });
    await session.client.closed;
    expect(await code(other.bindEsra())).toBe(53);
    expect((await list()).hubs.map((one) => one.hub)).toEqual(['hub1']);
    // Its key may not hand over credentials either, and what it stated of others counts no more.
    await using left = await edge.connect(other.node);
    expect(await code(left.extended(POSTERN_EXTENDED.installCredential).result)).toBe(53);
    const again = await edge.importAs(other.node);
    using bootstrap = await again.bindBootstrap();
    await bootstrap.transaction(again.topology());
    (await again.bindEsra()).client.destroy();
    expect((await list()).hubs[1]).toMatchObject({ state: 'active' });
  });

  it('none of it is forgotten by a restart', async () => {
    const before = await list();
    await edge.site.edgeDaemon?.kill();
    await edge.site.startEdge();
    const { hubs } = await list();
    expect(hubs).toEqual(before.hubs);
    const status = JSON.parse((await run('status', '--json')).stdout) as EdgeStatus;
    expect(status.accounts.map(({ name }) => name)).toEqual(['ESRA.edge1.hub2.0']);
  });

  it('a call that was answered is on the disk, however often the daemon is killed', async () => {
    const third = await edge.hub('hub3');
    const { userName, password } = await third.password('esra');
    const instance = 'ab'.repeat(16);
    let sent = 0;
    let answered = 0;
    for (let round = 1; round <= 4; round++) {
      const client = await edge.connect(third.node);
      for (let ended = false; !ended; ) {
        const controls = [instanceControl({ instance, counter: ++sent })];
        const bind = client.bind(`cn=${userName},cn=Accounts`, password, { controls });
        // With a bind under way, at another point of it each time.
        if (answered % 5 === round % 5 && sent > 5 * round) void edge.daemon.kill();
        if ((await code(bind)) === 0) answered = sent;
        else ended = true;
      }
      await edge.daemon.kill();
      await using copy = await openEdgeCopy(edge.site.edgeData, 'edge1.localhost', edge.site.ldapsPort);
      const stored = copy.node.store.value.pairs['hub3']?.instance;
      expect(stored?.id).toBe(instance);
      expect(stored?.counter).toBeGreaterThanOrEqual(answered);
      expect(stored?.counter).toBeLessThanOrEqual(sent);
      await edge.site.startEdge();
    }
    expect(answered).toBeGreaterThan(15);
  });
});
