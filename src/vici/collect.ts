/** A streamed answer as a list: for answers that are known to be small, or needed whole. */
export async function collect<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of stream) list.push(item);
  return list;
}
