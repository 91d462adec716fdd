/** Our client, connected to a server that the test plays. */
import { systemClock } from '../../src/base/clock.ts';
import { connectLdap, type LdapClient, type LdapClientOptions } from '../../src/ldap/client.ts';
import { encodeBytes } from '../../src/ldap/encode.ts';
import type { LdapResult, Operation } from '../../src/ldap/message.ts';
import { type RawConnection, rawServer } from './raw-connection.ts';

export const SUCCESS: LdapResult = { code: 0, matchedDn: '', diagnostic: '' };

export const bytesOf = (messageId: number, operation: Operation): Buffer =>
  encodeBytes({ messageId, operation, controls: [] });

/** An entry with a value of so many octets. */
export const entry = (name: string, bytes = 1): Operation => ({
  op: 'searchResultEntry',
  dn: `cn=${name}`,
  attributes: [{ type: 'cn', values: [Buffer.alloc(bytes, 'x')] }],
});

export interface Pair extends AsyncDisposable {
  client: LdapClient;
  /** The server's end. */
  peer: RawConnection;
}

export async function pair(options: Partial<LdapClientOptions> = {}): Promise<Pair> {
  const server = await rawServer();
  const client = await connectLdap({ target: server.url, clock: systemClock, ...options });
  const peer = await server.next();
  return {
    client,
    peer,
    async [Symbol.asyncDispose]() {
      client.destroy();
      await server[Symbol.asyncDispose]();
    },
  };
}
