/** vici messages written by hand, element by element: an encoder other than ours, which can also write what is wrong. */

export const hand = {
  section: (name: string, ...inner: readonly Buffer[]): Buffer =>
    Buffer.concat([Buffer.of(1, name.length), Buffer.from(name, 'latin1'), ...inner, Buffer.of(2)]),
  value: (name: string, value: string | Buffer): Buffer =>
    Buffer.concat([Buffer.of(3, name.length), Buffer.from(name, 'latin1'), sized(value)]),
  list: (name: string, ...items: readonly (string | Buffer)[]): Buffer =>
    Buffer.concat([
      Buffer.of(4, name.length),
      Buffer.from(name, 'latin1'),
      ...items.flatMap((item) => [Buffer.of(5), sized(item)]),
      Buffer.of(6),
    ]),
  /** With the length before it. */
  packet: (type: number, name: string | undefined, ...message: readonly Buffer[]): Buffer => {
    const label = name === undefined ? [] : [Buffer.of(name.length), Buffer.from(name, 'latin1')];
    const body = Buffer.concat([Buffer.of(type), ...label, ...message]);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(body.length);
    return Buffer.concat([length, body]);
  },
};

function sized(value: string | Buffer): Buffer {
  const bytes = Buffer.from(value as string, 'latin1');
  return Buffer.concat([Buffer.of(bytes.length >> 8, bytes.length & 0xff), bytes]);
}
