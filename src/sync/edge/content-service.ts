/** The content digest of what this edge really stores, computed from the entries at each request and never from a counter. */
import { createHash } from 'node:crypto';
import {
  type Directory,
  type Entry,
  type ExtendedReply,
  refuse,
  type Session,
  SUCCESS,
} from '../../directory/directory.ts';
import {
  type ContentDigestRequest,
  decodeContentDigestRequest,
  encodeBucketEntries,
  encodeContentDigestSummary,
} from '../../ldap/postern-extended.ts';
import { bucketOf, type ContentAttribute, DigestSum, entryHash } from '../content-digest.ts';
import { guidBytes } from '../recipient.ts';

/** Entries that one answer names; hubs choose buckets of about 2,000. */
const MOST_LISTED = 50_000;
/** Requests that wait for their walk. */
const MOST_WAITING = 16;

/** Where the entries of a kind stand. */
export const KIND_BASES: Readonly<Record<string, string>> = {
  recipients: 'cn=Recipients',
  domains: 'cn=AcceptedDomains,cn=Configuration',
};

/** Id and content of an entry as the hub means them, or undefined when the hub has removed it (and the guard holds it back). */
export function intendedContent(entry: Entry): { id: Buffer; attributes: ContentAttribute[] } | undefined {
  if (entry.values('posternPendingDelete').length > 0) return undefined;
  const cn = entry.text('cn') ?? '';
  const id = guidBytes(cn) ?? createHash('sha256').update(cn.toLowerCase()).digest().subarray(0, 16);
  const pending = new Set(entry.values('posternPendingAddress').map((value) => value.toString('latin1')));
  const attributes = entry.attributes().map(({ type, values }) => ({
    type,
    values:
      pending.size > 0 && type.toLowerCase() === 'posternaddress'
        ? values.filter((value) => !pending.has(value.toString('latin1')))
        : values,
  }));
  return { id, attributes };
}

export interface ContentServiceOptions {
  readonly directory: () => Directory;
  /** Undefined: no key yet, so nothing can be stored. */
  readonly digestKey: () => Buffer | undefined;
}

/** Answers the contentDigest operation: one walk at a time for all hubs together, since each goes over every entry. */
export class ContentService {
  readonly #options: ContentServiceOptions;
  #turn: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  constructor(options: ContentServiceOptions) {
    this.#options = options;
  }

  handle(value: Buffer | undefined, session: Session): Promise<ExtendedReply> {
    const request = decodeContentDigestRequest(value);
    if (KIND_BASES[request.kind] === undefined)
      refuse('unwillingToPerform', `no such kind of data: ${request.kind.slice(0, 40)}`);
    if (this.#waiting >= MOST_WAITING) refuse('busy', 'other content digests are being computed');
    this.#waiting++;
    const answer = this.#turn.then(() => {
      if (session.ended) refuse('unavailable', 'the connection has ended');
      return walk(this.#options.directory(), this.#options.digestKey(), request);
    });
    this.#turn = answer
      .catch(() => undefined)
      .then(() => {
        this.#waiting--;
      });
    return answer;
  }
}

async function walk(
  directory: Directory,
  digestKey: Buffer | undefined,
  { kind, bits, prefix }: ContentDigestRequest,
): Promise<ExtendedReply> {
  const base = KIND_BASES[kind] ?? '';
  const key = digestKey ?? Buffer.alloc(32);
  const total = new DigestSum();
  const buckets = Array.from(
    { length: prefix === undefined && bits > 0 ? 2 ** bits : 0 },
    () => new DigestSum(),
  );
  const listed: { guid: Buffer; hash: Buffer }[] = [];
  let tooMany = false;
  await directory.scan({ base, scope: 'one' }, (entry) => {
    const content = intendedContent(entry);
    if (content === undefined) return;
    const bucket = bits === 0 ? 0 : bucketOf(content.id, bits);
    if (prefix !== undefined && bucket !== prefix) return;
    const hash = entryHash(key, content.id, content.attributes);
    if (prefix !== undefined) {
      if (listed.length < MOST_LISTED) listed.push({ guid: content.id, hash });
      else tooMany = true;
      return;
    }
    total.add(hash);
    buckets[bucket]?.add(hash);
  });
  if (tooMany)
    refuse('adminLimitExceeded', `a bucket of more than ${MOST_LISTED} entries: ask with more bits`);
  if (prefix !== undefined) return { result: SUCCESS, value: encodeBucketEntries(listed) };
  const plain = (sum: DigestSum) => ({ count: sum.count, digest: sum.toBytes() });
  return {
    result: SUCCESS,
    value: encodeContentDigestSummary({ ...plain(total), buckets: buckets.map(plain) }),
  };
}
