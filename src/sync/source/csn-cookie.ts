/**
 * slapd's cookies: `rid=000,sid=001,csn=<csn>;<csn>`, one change sequence number for each server that writes. In the persist stage a cookie names only the server whose change it comes with; what the others have said stays true. Pure.
 */

const CSN = /^\d{14}(?:\.\d{6})?Z#[0-9a-f]{6}#([0-9a-f]{3})#[0-9a-f]{6}$/;
const LONGEST = 64 * 1024;

interface CsnCookie {
  /** What stands before the numbers, such as `rid=000,`. */
  readonly head: string;
  /** Server id -> number. */
  readonly csns: ReadonlyMap<string, string>;
}

/** The cookie that stands for what both stand for; `next` as it is when either is no cookie of slapd's. */
export function mergeCookies(known: Buffer | undefined, next: Buffer): Buffer {
  const before = parse(known);
  const after = parse(next);
  if (before === undefined || after === undefined) return next;
  const merged = new Map(before.csns);
  for (const [sid, csn] of after.csns) {
    const earlier = merged.get(sid);
    if (earlier === undefined || earlier < csn) merged.set(sid, csn);
  }
  // slapd keeps them in the order of server ids.
  const csns = [...merged.keys()].sort().map((sid) => merged.get(sid));
  return Buffer.from(`${after.head}csn=${csns.join(';')}`, 'latin1');
}

function parse(cookie: Buffer | undefined): CsnCookie | undefined {
  if (cookie === undefined || cookie.length > LONGEST) return undefined;
  const match = /^((?:(?:rid|sid)=[0-9a-f]{1,3},)*)csn=([^,]+)$/.exec(cookie.toString('latin1'));
  if (match === null) return undefined;
  const csns = new Map<string, string>();
  for (const csn of (match[2] ?? '').split(';')) {
    const sid = CSN.exec(csn)?.[1];
    if (sid === undefined || csns.has(sid)) return undefined;
    csns.set(sid, csn);
  }
  return { head: match[1] ?? '', csns };
}
