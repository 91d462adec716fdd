/**
 * Reads a subscription file: any bytes in, a `SubscriptionFile` or an error with an element's name out. Structure only; whether the file is
 * good now is for validate.ts. Elements may come in any order, unknown ones are ignored; DTDs, entities, other encodings, duplicates and large
 * files are refused. Errors never quote the file's text, as it holds a password.
 */
import { SaxesParser } from 'saxes';
import { type ErrorCode, PosternError } from '../base/error.ts';
import type { Files } from '../base/files.ts';
import { Secret } from '../base/secret.ts';
import { isPin } from '../certificate/pin.ts';
import {
  canonicalText,
  type Element,
  ELEMENTS,
  type FilePassword,
  type FileTexts,
  MOST_FILE_BYTES,
  passwordContextOf,
  REQUIRED_ELEMENTS,
  ROOT_ELEMENT,
  signedBytesOf,
  subscriptionId,
  type SubscriptionFile,
} from './file.ts';
import { parsePolicy } from './policy-text.ts';
import { parseFileDate, parseFileDuration } from './ticks.ts';

/** Elements inside elements: the format has two levels, other products' extensions a few more. */
const MOST_DEPTH = 16;
/** Characters; everything but the certificate is far shorter. */
const LONGEST_TEXT = 32 * 1024;

/** Throws `subscription.too-large` or `subscription.malformed`. */
export function readSubscriptionFile(bytes: Uint8Array): SubscriptionFile {
  if (bytes.length > MOST_FILE_BYTES) throw tooLarge(bytes.length);
  const texts = parseElements(decodeText(bytes));
  for (const element of REQUIRED_ELEMENTS)
    if ((texts[element] ?? '') === '') throw malformed(`${element} is missing`, element);
  const text = (element: Element): string => texts[element] ?? '';
  const effectiveAt = parseFileDate(text('EffectiveDate'), 'EffectiveDate');
  const durationMs = parseFileDuration(text('Duration'), 'Duration');
  const signedBytes = signedBytesOf(texts);
  const signature = optionalBase64(texts, 'PosternSignature');
  return {
    edgeName: text('EdgeServerName'),
    edgeFqdn: text('EdgeServerFQDN'),
    certificate: base64(text('EdgeCertificateBlob'), 'EdgeCertificateBlob'),
    userName: text('ESRAUsername'),
    password: passwordOf(texts),
    effectiveAt,
    durationMs,
    port: portOf(text('AdamSslPort')),
    productId: text('ProductID'),
    versionNumber: text('VersionNumber'),
    serialNumber: text('SerialNumber'),
    format: formatOf(texts.PosternFormat),
    sealingStatement: optionalBase64(texts, 'PosternSealingStatement'),
    passwordPolicy:
      texts.PosternPasswordPolicy === undefined ? undefined : parsePolicy(texts.PosternPasswordPolicy),
    signature,
    signed: signature !== undefined,
    signedBytes: new Secret(signedBytes),
    id: subscriptionId(signedBytes),
    passwordContext: passwordContextOf(texts),
  };
}

/** Reads the file at `path`; a large one is refused before it is read. Throws `file.unreadable` beside the reader's own errors. */
export async function loadSubscriptionFile(
  files: Pick<Files, 'open'>,
  path: string,
): Promise<SubscriptionFile> {
  return readSubscriptionFile(await readBounded(files, path));
}

async function readBounded(files: Pick<Files, 'open'>, path: string): Promise<Buffer> {
  try {
    const file = await files.open(path, 'read');
    try {
      const size = await file.size();
      if (size > MOST_FILE_BYTES) throw tooLarge(size);
      const bytes = Buffer.alloc(size);
      return bytes.subarray(0, await file.read(bytes, 0));
    } finally {
      await file.close();
    }
  } catch (cause) {
    if (cause instanceof PosternError) throw cause;
    throw new PosternError('file.unreadable', `cannot read ${path}`, {
      cause,
      hint: 'check the path and the permissions of the file',
      fields: { path },
    });
  }
}

function tooLarge(length: number): PosternError {
  return new PosternError(
    'subscription.too-large',
    `the file has ${length} bytes; a subscription file has at most ${MOST_FILE_BYTES}`,
    {
      hint: 'check that this is the file that "postern subscription create" wrote on the edge',
      fields: { bytes: length },
    },
  );
}

function decodeText(bytes: Uint8Array): string {
  const [a, b, c, d] = bytes;
  // A NUL among the first four bytes is UTF-16 or UTF-32 without a byte order mark (XML 1.0 appendix F.1).
  const wide = (a === 0xff && b === 0xfe) || (a === 0xfe && b === 0xff) || [a, b, c, d].includes(0);
  if (wide) throw encodingRefused('the file is written in UTF-16 or UTF-32');
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw encodingRefused('the file is not valid UTF-8');
  }
}

function encodingRefused(message: string): PosternError {
  return malformed(message, undefined, 'carry the file as it was written, byte by byte, or save it as UTF-8');
}

function parseElements(xml: string): FileTexts {
  const texts: Partial<Record<Element, string>> = {};
  const parser = new SaxesParser({ xmlns: true, position: true });
  /** Depth of open elements; the known element directly under the root that is open, and its text so far. */
  let depth = 0;
  let current: Element | undefined;
  let content = '';
  const append = (text: string): void => {
    // Text of elements inside a known one is not the known one's text.
    if (current !== undefined && depth === 2) content += text;
    if (content.length > LONGEST_TEXT) throw malformed(`${current ?? 'an element'} is too long`, current);
  };
  parser.on('xmldecl', (declaration) => {
    if (declaration.version !== undefined && declaration.version !== '1.0')
      throw malformed('the file declares an XML version other than 1.0');
    const encoding = declaration.encoding?.toLowerCase();
    if (encoding !== undefined && !['utf-8', 'utf8', 'us-ascii', 'ascii'].includes(encoding)) {
      throw encodingRefused('the file declares an encoding other than UTF-8');
    }
  });
  parser.on('doctype', () => {
    throw malformed(
      'the file has a document type declaration',
      undefined,
      'no program writes one into a subscription file: somebody tampered with it',
    );
  });
  parser.on('opentag', (tag) => {
    depth++;
    if (depth === 1) {
      if (tag.local !== ROOT_ELEMENT || tag.uri !== '')
        throw malformed(`the root element is not ${ROOT_ELEMENT}`);
    } else if (depth === 2) {
      current = tag.uri === '' && isElement(tag.local) ? tag.local : undefined;
      content = '';
      if (current !== undefined && texts[current] !== undefined)
        throw malformed(`${current} appears twice`, current);
    } else if (depth > MOST_DEPTH) {
      throw malformed('elements are nested too deeply');
    } else if (current !== undefined && current !== 'ProductID') {
      throw malformed(`${current} holds another element`, current);
    }
  });
  parser.on('closetag', () => {
    if (depth === 2 && current !== undefined) {
      texts[current] = canonicalText(current, content);
      current = undefined;
    }
    depth--;
  });
  parser.on('text', append);
  parser.on('cdata', append);
  try {
    parser.write(xml).close();
  } catch (error) {
    if (error instanceof PosternError) throw error;
    // The parser's own message may quote the text: only the place is told.
    throw malformed(
      `the file is not well-formed XML at line ${parser.line}, column ${parser.column}`,
      undefined,
      'copy the file from the edge again: it was cut or changed on the way',
    );
  }
  return texts;
}

function isElement(name: string): name is Element {
  return (ELEMENTS as readonly string[]).includes(name);
}

function passwordOf(texts: FileTexts): FilePassword {
  const text = texts.ESRAPassword ?? '';
  if (texts.PosternSealedTo === undefined) return { kind: 'clear', secret: new Secret(text) };
  const [hub, pin, ...rest] = texts.PosternSealedTo.split(' ');
  if (hub === undefined || hub === '' || pin === undefined || !isPin(pin) || rest.length > 0) {
    throw malformed('PosternSealedTo is not a hub name and a fingerprint', 'PosternSealedTo');
  }
  return { kind: 'sealed', hub, pin, bytes: base64(text.replace(/[ \t\r\n]+/g, ''), 'ESRAPassword') };
}

function portOf(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65_535) throw malformed('AdamSslPort is not a port from 1 to 65535', 'AdamSslPort');
  return port;
}

function formatOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^[1-9]\d{0,3}$/.test(text)) throw malformed('PosternFormat is not a number', 'PosternFormat');
  return Number(text);
}

function optionalBase64(texts: FileTexts, element: Element): Buffer | undefined {
  const text = texts[element];
  return text === undefined ? undefined : base64(text, element);
}

function base64(text: string, element: Element): Buffer {
  const bytes = Buffer.from(text, 'base64');
  // Buffer.from passes over what is not base64; the file must say exactly what is read.
  if (bytes.length === 0 || bytes.toString('base64') !== text)
    throw malformed(`${element} is not base64`, element);
  return bytes;
}

function malformed(message: string, element?: Element, hint?: string): PosternError {
  const code: ErrorCode = 'subscription.malformed';
  return new PosternError(code, message, {
    hint: hint ?? 'make a new file on the edge with "postern subscription create"',
    fields: element === undefined ? {} : { element },
  });
}
