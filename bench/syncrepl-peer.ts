/** The peer of the first load: slapd replicating from slapd by syncrepl, durable or not. */
import { systemClock } from '../src/base/clock.ts';
import { connectLdap } from '../src/ldap/client.ts';
import { type Slapd, startSlapd } from '../test/support/slapd.ts';
import { cpuMs } from './process-cost.ts';

export interface SyncreplTime {
  readonly seconds: number;
  /** CPU of the consumer, seconds. */
  readonly cpu: number;
}

/** From the start of an empty consumer until it holds `count` people of the provider. */
export async function timeSyncrepl(provider: Slapd, count: number, durable: boolean): Promise<SyncreplTime> {
  const consumer = await startSlapd({
    durable,
    maxSizeBytes: 4 * 2 ** 30,
    // Sparse files mapped for writing: slapd's fastest setting that loses nothing when only the process dies.
    databaseConfig: durable ? [] : ['envflags writemap mapasync nometasync'],
    indexes: ['uid'],
  });
  await using stopped = consumer;
  await stopped.stop();
  await consumer.configure(
    `syncrepl rid=001 provider=${provider.url} type=refreshAndPersist searchbase="${provider.suffix}" bindmethod=simple binddn="${provider.adminDn}" credentials=${provider.adminPassword} retry="1 +"`,
  );
  const start = systemClock.monotonic();
  await consumer.start();
  const client = await connectLdap({ target: consumer.url, clock: systemClock });
  try {
    for (;;) {
      if (await hasLast(client, provider, count)) {
        const seconds = (systemClock.monotonic() - start) / 1000;
        return { seconds, cpu: (await cpuMs(consumer.pid ?? 0)) / 1000 };
      }
      await systemClock.sleep('bench', 50);
    }
  } finally {
    client.unbind();
  }
}

/** The provider sends entries in the order of their making, so the last one there means all are there. */
async function hasLast(
  client: Awaited<ReturnType<typeof connectLdap>>,
  provider: Slapd,
  count: number,
): Promise<boolean> {
  const filter = { kind: 'equality', attribute: 'uid', value: Buffer.from(`user${count - 1}`) } as const;
  for await (const { operation } of client.search(
    { base: `ou=people,${provider.suffix}`, filter, attributes: ['1.1'] },
    { accept: [32] },
  )) {
    if (operation.op === 'searchResultEntry') return true;
  }
  return false;
}
