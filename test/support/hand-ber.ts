/**
 * An LDAP encoder of its own for vectors: no code of `src/` in it, one concatenation an element, written from the ASN.1
 * of RFC 4511. What it gets wrong, the codecs would have to get wrong in the same way.
 */
import type { Attribute, Control, Filter, LdapResult, Message, Operation } from '../../src/ldap/message.ts';

/** Identifier octet, minimal length octets, content. */
export function tlv(tag: number, ...parts: (Uint8Array | readonly Uint8Array[])[]): Buffer {
  const content = Buffer.concat(parts.flat() as Uint8Array[]);
  let length: number[] = [content.length];
  if (content.length > 127) {
    length = [];
    for (let rest = content.length; rest > 0; rest = Math.floor(rest / 256)) length.unshift(rest % 256);
    length.unshift(0x80 + length.length);
  }
  return Buffer.concat([Buffer.from([tag, ...length]), content]);
}

export function int(value: number | bigint, tag = 0x02): Buffer {
  let rest = BigInt(value);
  const octets: number[] = [];
  for (;;) {
    octets.unshift(Number(rest & 255n));
    rest >>= 8n;
    const negative = ((octets[0] as number) & 0x80) !== 0;
    if ((rest === 0n && !negative) || (rest === -1n && negative)) break;
  }
  return tlv(tag, Buffer.from(octets));
}

export const str = (value: string | Uint8Array, tag = 0x04): Buffer =>
  tlv(tag, typeof value === 'string' ? Buffer.from(value, 'utf8') : value);
export const bool = (value: boolean, tag = 0x01): Buffer => tlv(tag, Buffer.from([value ? 255 : 0]));
export const seq = (...parts: (Uint8Array | readonly Uint8Array[])[]): Buffer => tlv(0x30, ...parts);
export const set = (...parts: (Uint8Array | readonly Uint8Array[])[]): Buffer => tlv(0x31, ...parts);
export const enumerated = (value: number): Buffer => int(value, 0x0a);

const optional = (value: string | Uint8Array | undefined, tag: number): Buffer[] =>
  value === undefined ? [] : [str(value, tag)];

export function handEncode(message: Message): Buffer {
  const controls = message.controls.length === 0 ? [] : [tlv(0xa0, message.controls.map(control))];
  return seq(int(message.messageId), handOperation(message.operation), controls);
}

export function control({ oid, critical, value }: Control): Buffer {
  return seq(str(oid), critical ? [bool(true)] : [], optional(value, 0x04));
}

function attribute({ type, values }: Attribute): Buffer {
  return seq(str(type), set(values.map((value) => str(value))));
}

function result({ code, matchedDn, diagnostic, referrals }: LdapResult): Buffer[] {
  const referral =
    referrals === undefined
      ? []
      : [
          tlv(
            0xa3,
            referrals.map((url) => str(url)),
          ),
        ];
  return [enumerated(code), str(matchedDn), str(diagnostic), ...referral];
}

export function handFilter(filter: Filter): Buffer {
  const assertion = (tag: number, item: { attribute: string; value: Buffer }): Buffer =>
    tlv(tag, str(item.attribute), str(item.value));
  switch (filter.kind) {
    case 'and':
      return tlv(0xa0, filter.filters.map(handFilter));
    case 'or':
      return tlv(0xa1, filter.filters.map(handFilter));
    case 'not':
      return tlv(0xa2, handFilter(filter.filter));
    case 'equality':
      return assertion(0xa3, filter);
    case 'substrings':
      return tlv(
        0xa4,
        str(filter.attribute),
        seq(
          optional(filter.initial, 0x80),
          filter.any.map((part) => str(part, 0x81)),
          optional(filter.final, 0x82),
        ),
      );
    case 'greaterOrEqual':
      return assertion(0xa5, filter);
    case 'lessOrEqual':
      return assertion(0xa6, filter);
    case 'present':
      return str(filter.attribute, 0x87);
    case 'approx':
      return assertion(0xa8, filter);
    case 'extensible':
      return tlv(
        0xa9,
        optional(filter.matchingRule, 0x81),
        optional(filter.attribute, 0x82),
        str(filter.value, 0x83),
        filter.dnAttributes ? [bool(true, 0x84)] : [],
      );
  }
}

export function handOperation(o: Operation): Buffer {
  switch (o.op) {
    case 'bindRequest': {
      const authentication =
        o.authentication.kind === 'simple'
          ? str(o.authentication.password, 0x80)
          : tlv(0xa3, str(o.authentication.mechanism), optional(o.authentication.credentials, 0x04));
      return tlv(0x60, int(o.version), str(o.name), authentication);
    }
    case 'bindResponse':
      return tlv(0x61, result(o.result), optional(o.serverSaslCredentials, 0x87));
    case 'unbindRequest':
      return tlv(0x42);
    case 'searchRequest':
      return tlv(
        0x63,
        str(o.base),
        enumerated(['base', 'one', 'subtree'].indexOf(o.scope)),
        enumerated(['never', 'searching', 'findingBase', 'always'].indexOf(o.derefAliases)),
        int(o.sizeLimit),
        int(o.timeLimit),
        bool(o.typesOnly),
        handFilter(o.filter),
        seq(o.attributes.map((name) => str(name))),
      );
    case 'searchResultEntry':
      return tlv(0x64, str(o.dn), seq(o.attributes.map(attribute)));
    case 'searchResultDone':
      return tlv(0x65, result(o.result));
    case 'modifyRequest': {
      const kinds = ['add', 'delete', 'replace', 'increment'];
      const changes = o.changes.map((c) => seq(enumerated(kinds.indexOf(c.kind)), attribute(c.attribute)));
      return tlv(0x66, str(o.dn), seq(changes));
    }
    case 'modifyResponse':
      return tlv(0x67, result(o.result));
    case 'addRequest':
      return tlv(0x68, str(o.dn), seq(o.attributes.map(attribute)));
    case 'addResponse':
      return tlv(0x69, result(o.result));
    case 'deleteRequest':
      return str(o.dn, 0x4a);
    case 'deleteResponse':
      return tlv(0x6b, result(o.result));
    case 'modifyDnRequest':
      return tlv(0x6c, str(o.dn), str(o.newRdn), bool(o.deleteOldRdn), optional(o.newSuperior, 0x80));
    case 'modifyDnResponse':
      return tlv(0x6d, result(o.result));
    case 'compareRequest':
      return tlv(0x6e, str(o.dn), seq(str(o.attribute), str(o.value)));
    case 'compareResponse':
      return tlv(0x6f, result(o.result));
    case 'abandonRequest':
      return int(o.messageId, 0x50);
    case 'searchResultReference':
      return tlv(
        0x73,
        o.urls.map((url) => str(url)),
      );
    case 'extendedRequest':
      return tlv(0x77, str(o.oid, 0x80), optional(o.value, 0x81));
    case 'extendedResponse':
      return tlv(0x78, result(o.result), optional(o.oid, 0x8a), optional(o.value, 0x8b));
    case 'intermediateResponse':
      return tlv(0x79, optional(o.oid, 0x80), optional(o.value, 0x81));
  }
}
