/** A subscription file without anything of ours in it, as element texts, and what the reader says to any bytes. */
import { isPosternError } from '../../src/base/error.ts';
import type { FileTexts } from '../../src/subscription/file.ts';
import { readSubscriptionFile } from '../../src/subscription/file-reader.ts';
import { ticksFromUnixMs } from '../../src/subscription/ticks.ts';

export const SITE_START = Date.UTC(2026, 10, 2, 10);

export const PLAIN_FILE_TEXTS: FileTexts = {
  EdgeServerName: 'edge1',
  EdgeServerFQDN: 'edge1.perimeter.example',
  EdgeCertificateBlob: Buffer.from('not looked into here').toString('base64'),
  ESRAUsername: 'ESRA.edge1',
  ESRAPassword: 'p<&>"\'w',
  EffectiveDate: String(ticksFromUnixMs(SITE_START)),
  Duration: '864000000000',
  AdamSslPort: '50636',
  ProductID: '',
  VersionNumber: '1',
  SerialNumber: 'Postern 0.1.0',
};

export const problemOf = (
  bytes: Uint8Array | string,
): { code: string; message: string; element: unknown } => {
  try {
    readSubscriptionFile(Buffer.from(bytes as Uint8Array));
  } catch (error) {
    if (isPosternError(error))
      return { code: error.code, message: error.message, element: error.fields['element'] };
    throw error;
  }
  return { code: 'accepted', message: '', element: undefined };
};
