/** Records what a real charon sends: node test/vectors/vici/record.ts writes strongswan-VERSION.json beside itself. Needs root and strongSwan. */
import { writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { systemClock } from '../../../src/base/clock.ts';
import { collect } from '../../../src/vici/collect.ts';
import * as command from '../../../src/vici/command.ts';
import { connectVici } from '../../../src/vici/connection.ts';
import { ViciFramer } from '../../../src/vici/framer.ts';
import { encodeRegister, encodeRequest } from '../../../src/vici/packet.ts';
import { plainConnection, startCharonPair } from '../../support/charon-pair.ts';
import { until } from '../../support/until.ts';

await using pair = await startCharonPair();
const { frontEnd, backEnd } = pair;
const packets: { after: string; bytes: Buffer }[] = [];
let after = '';
const socket = connect(frontEnd.charon.viciPath);
const framer = new ViciFramer();
socket.on('data', (chunk) => {
  framer.push(chunk);
  for (const bytes of framer) packets.push({ after, bytes: Buffer.from(bytes) });
});

/** Sends, and waits until so many packets have come. */
async function ask(what: string, bytes: Buffer, count = 1): Promise<void> {
  const wanted = packets.length + count;
  after = what;
  socket.write(bytes);
  await until(what, () => packets.length, (have) => have >= wanted);
}

await command.loadConnection(frontEnd.vici, 'one', plainConnection(frontEnd, backEnd, { dpd_delay: '2s' }));
await command.loadConnection(backEnd.vici, 'back', plainConnection(backEnd, frontEnd));
for (const event of ['list-conn', 'list-policy', 'list-sa', 'list-cert', 'ike-updown', 'ike-rekey'])
  await ask(`register ${event}`, encodeRegister(event));
await ask('register nothing', encodeRegister('nothing'));
await ask('no-such-command', encodeRequest('no-such-command'));
for (const name of ['stats', 'get-conns', 'get-keys', 'get-algorithms']) await ask(name, encodeRequest(name));
await ask('get-counters', encodeRequest('get-counters', { all: true }));
await ask('unload-conn none', encodeRequest('unload-conn', { name: 'none' }));
await ask('list-conns', encodeRequest('list-conns'), 2);
await ask('list-policies', encodeRequest('list-policies', { trap: true }), 2);
await ask('list-certs', encodeRequest('list-certs'), 3);
after = 'initiate';
await command.initiate(frontEnd.vici, { connection: 'one', child: 'mail', timeoutMs: 10_000 }).catch(() => undefined);
await ask('list-sas', encodeRequest('list-sas'), 2);
const [association] = await collect(command.listAssociations(frontEnd.vici));
after = 'rekey';
await command.rekey(frontEnd.vici, { ikeId: association?.id ?? 0 });
await until('rekeyed', () => packets.at(-1)?.after, (last) => last === 'rekey');
after = 'terminate';
await command.terminate(frontEnd.vici, { connection: 'one', force: true, timeoutMs: 2000 });
await until('down', () => packets.at(-1)?.after, (last) => last === 'terminate');
socket.destroy();

await using vici = await connectVici({ path: frontEnd.charon.viciPath, clock: systemClock });
const { version } = await command.getVersion(vici);
const lines = packets.map((packet) => `  ${JSON.stringify({ after: packet.after, bytes: packet.bytes.toString('base64') })}`);
await writeFile(join(import.meta.dirname, `strongswan-${version}.json`), `[\n${lines.join(',\n')}\n]\n`);
