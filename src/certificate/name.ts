/** Names of nodes: fully qualified domain names, lower case. Knows nothing of DNS lookups. */
import { isIP } from 'node:net';
import { PosternError } from '../base/error.ts';

const LABEL = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?$/;

/** A host name in lower case (RFC 1123 §2.1; underscores as some sites use them), at most 253 characters; one label will do. */
export function isHostName(text: string): boolean {
  return text.length <= 253 && isIP(text) === 0 && text.split('.').every((label) => LABEL.test(label));
}

/** Lower case, without a root dot. Throws `usage` when the text can't be a host's name. */
export function hostName(text: string): string {
  const name = text.toLowerCase().replace(/\.$/, '');
  if (!isHostName(name)) {
    throw new PosternError('usage', `not a host name: "${text.slice(0, 80)}"`, {
      hint: 'give the fully qualified name, for example edge1.example.com',
    });
  }
  return name;
}
