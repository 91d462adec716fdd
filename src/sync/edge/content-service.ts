/** The content digest of what this edge really stores, computed from the entries at each request and never from a counter. */
import { createHash } from 'node:crypto';
import {
  type Directory,
  type Entry,
  type ExtendedReply,
  refuse,
  SUCCESS,
} from '../../directory/directory.ts';
import {
  decodeContentDigestRequest,
  encodeBucketEntries,
  encodeContentDigestSummary,
} from '../../ldap/postern-extended.ts';
import { bucketOf, type ContentAttribute, DigestSum, entryHash } from '../content-digest.ts';
import { guidBytes } from '../recipient.ts';

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

/** Answers the contentDigest operation. `digestKey` undefined: no key yet, so nothing can be stored. */
export async function answerContentDigest(
  directory: Directory,
  digestKey: Buffer | undefined,
  value: Buffer | undefined,
): Promise<ExtendedReply> {
  const { kind, bits, prefix } = decodeContentDigestRequest(value);
  const base = KIND_BASES[kind];
  if (base === undefined) refuse('unwillingToPerform', `no such kind of data: ${kind.slice(0, 40)}`);
  const key = digestKey ?? Buffer.alloc(32);
  const total = new DigestSum();
  const buckets = Array.from(
    { length: prefix === undefined && bits > 0 ? 2 ** bits : 0 },
    () => new DigestSum(),
  );
  const listed: { guid: Buffer; hash: Buffer }[] = [];
  await directory.scan({ base, scope: 'one' }, (entry) => {
    const content = intendedContent(entry);
    if (content === undefined) return;
    const bucket = bits === 0 ? 0 : bucketOf(content.id, bits);
    if (prefix !== undefined && bucket !== prefix) return;
    const hash = entryHash(key, content.id, content.attributes);
    if (prefix !== undefined) {
      listed.push({ guid: content.id, hash });
      return;
    }
    total.add(hash);
    buckets[bucket]?.add(hash);
  });
  if (prefix !== undefined) return { result: SUCCESS, value: encodeBucketEntries(listed) };
  const plain = (sum: DigestSum) => ({ count: sum.count, digest: sum.toBytes() });
  return {
    result: SUCCESS,
    value: encodeContentDigestSummary({ ...plain(total), buckets: buckets.map(plain) }),
  };
}
