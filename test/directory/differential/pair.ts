/** A slapd and a directory of ours with the same schema and the same entries, and a client of each. */
import { systemClock } from '../../../src/base/clock.ts';
import { Secret } from '../../../src/base/secret.ts';
import type { AccessRule } from '../../../src/directory/directory.ts';
import { standardSchema } from '../../../src/directory/schema/standard.ts';
import { connectLdap, type LdapClient } from '../../../src/ldap/client.ts';
import type { Attribute } from '../../../src/ldap/message.ts';
import { type ServedDirectory, serveDirectory } from '../../support/served-directory.ts';
import { type Slapd, startSlapd } from '../../support/slapd.ts';
import { TEST_SCHEMA } from './schema.ts';
import { BASE, octets, TYPES } from './vocabulary.ts';

const SUFFIX = `dn: ${BASE}\nobjectClass: domain\ndc: example\n`;

export interface PairOptions {
  /** Rights, as each of the two says them, and the account they are for. */
  readonly account?: { readonly dn: string; readonly password: string; readonly role: string };
  readonly access?: readonly string[];
  readonly rules?: readonly AccessRule[];
  readonly secrets?: readonly string[];
}

export class Pair implements AsyncDisposable {
  readonly slapd: Slapd;
  readonly served: ServedDirectory;
  /** Bound as the administrators. */
  theirs: LdapClient;
  readonly ours: LdapClient;
  readonly #more: LdapClient[] = [];

  private constructor(slapd: Slapd, served: ServedDirectory, theirs: LdapClient, ours: LdapClient) {
    this.slapd = slapd;
    this.served = served;
    this.theirs = theirs;
    this.ours = ours;
  }

  static async start(options: PairOptions = {}): Promise<Pair> {
    const { account } = options;
    const slapd = await startSlapd({
      suffix: BASE,
      ldif: SUFFIX,
      schemaText: TEST_SCHEMA,
      globalConfig: ['moduleload sssvlv'],
      databaseConfig: ['overlay sssvlv'],
      access: options.access ?? [],
    });
    const served = await serveDirectory({
      directory: { schema: standardSchema([TEST_SCHEMA]) },
      entries: [],
      ...(account !== undefined && { accounts: { [account.dn]: account } }),
      ...(options.rules !== undefined && { rules: options.rules }),
      ...(options.secrets !== undefined && { secrets: options.secrets }),
    });
    const theirs = await asAdministrator(slapd);
    const ours = await served.client();
    await ours.add(BASE, [text('objectClass', 'domain'), text('dc', 'example')]).result;
    await introduceTypes(theirs);
    return new Pair(slapd, served, theirs, ours);
  }

  /** Clients of both, bound as somebody else. */
  async clients(name: string, password: string): Promise<{ theirs: LdapClient; ours: LdapClient }> {
    const theirs = await connectLdap({ target: this.slapd.url, clock: systemClock });
    const ours = await connectLdap({ target: this.served.url, clock: systemClock });
    this.#more.push(theirs, ours);
    for (const client of [theirs, ours]) await client.bind(name, new Secret(password));
    return { theirs, ours };
  }

  async both<T>(run: (client: LdapClient) => Promise<T>): Promise<Both<T>> {
    // Both are waited for, so that nothing is under way when one fails.
    const [slapd, ours] = await Promise.allSettled([run(this.theirs), run(this.ours)]);
    if (slapd.status === 'rejected') throw slapd.reason;
    if (ours.status === 'rejected') throw ours.reason;
    return { slapd: slapd.value, ours: ours.value };
  }

  get slapdDied(): boolean {
    return this.theirs.isClosed;
  }

  /** slapd anew, with nothing but the suffix. */
  async renewSlapd(): Promise<void> {
    this.theirs.destroy();
    await this.slapd.stop();
    await this.slapd.empty();
    await this.slapd.loadLdif(SUFFIX);
    await this.slapd.start();
    this.theirs = await asAdministrator(this.slapd);
    await introduceTypes(this.theirs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of [this.theirs, ...this.#more]) client.destroy();
    await this.served[Symbol.asyncDispose]();
    await this.slapd[Symbol.asyncDispose]();
  }
}

const text = (type: string, ...values: string[]): Attribute => ({
  type,
  values: values.map((v) => Buffer.from(v)),
});

/**
 * An entry with everything, and away with it. slapd 2.5 numbers attribute types where they first occur, and mixes them up for good when
 * that was in a transaction which it gave up.
 */
async function introduceTypes(theirs: LdapClient): Promise<void> {
  const types = TYPES.map(({ name, values }): [string, readonly string[]] => [name, [values[0] ?? '']]);
  const more: [string, readonly string[]][] = [
    ['uid', ['x']],
    ['ou', ['x']],
    ['l', ['x']],
    ['member', [BASE]],
  ];
  const attributes = [...types, ...more].map(([type, values]) => ({
    type,
    values: values.map((value) => octets(type, value)),
  }));
  const dn = `cn=x,${BASE}`;
  await theirs.add(dn, [text('objectClass', 'person', 'extensibleObject'), ...attributes]).result;
  await theirs.delete(dn).result;
}

async function asAdministrator(slapd: Slapd): Promise<LdapClient> {
  const client = await connectLdap({ target: slapd.url, clock: systemClock });
  await client.bind(slapd.adminDn, new Secret(slapd.adminPassword));
  return client;
}

export interface Both<T> {
  readonly slapd: T;
  readonly ours: T;
}
