/** A handler that answers LDAP requests in the simplest way, for tests of client and server connection. */
import { decodeMessage } from '../../src/ldap/decode.ts';
import type { Frame } from '../../src/ldap/framer.ts';
import type { LdapResult, Message, Operation, Request } from '../../src/ldap/message.ts';
import type { ConnectionHandler, ServerConnection } from '../../src/ldap/server.ts';

export const SUCCESS: LdapResult = { code: 0, matchedDn: '', diagnostic: '' };

const ANSWER = {
  addRequest: 'addResponse',
  modifyRequest: 'modifyResponse',
  deleteRequest: 'deleteResponse',
  modifyDnRequest: 'modifyDnResponse',
  compareRequest: 'compareResponse',
} as const;

export class TinyHandler implements ConnectionHandler {
  readonly requests: Message[] = [];
  closed = 0;
  secured = 0;
  identity = '';
  readonly connection: ServerConnection;
  readonly #options: TinyOptions;

  constructor(connection: ServerConnection, options: TinyOptions = {}) {
    this.connection = connection;
    this.#options = options;
  }

  onFrame(frame: Frame, connection: ServerConnection): void {
    // Copied, since the bytes are valid only now.
    const bytes = Buffer.from(frame.buffer.subarray(frame.start, frame.end));
    const message = decodeMessage({ buffer: bytes, start: 0, end: bytes.length });
    this.requests.push(message);
    if (this.#options.intercept?.(message, connection) === true) return;
    this.answer(message);
  }

  onSecure(): void {
    this.secured++;
  }

  onClose(): void {
    this.closed++;
  }

  answer({ messageId, operation }: Message): void {
    const send = (response: Operation): void =>
      this.connection.sendMessage({ messageId, operation: response, controls: [] });
    const request = operation as Request;
    switch (request.op) {
      case 'unbindRequest':
        return this.connection.close();
      case 'abandonRequest':
        return;
      case 'bindRequest':
        this.identity = request.name;
        this.connection.maxMessageBytes = 1 << 20;
        return send({ op: 'bindResponse', result: SUCCESS });
      case 'searchRequest':
        for (let i = 0; i < (this.#options.entries ?? 1); i++) {
          send({
            op: 'searchResultEntry',
            dn: `cn=${i},${request.base}`,
            attributes: [{ type: 'cn', values: [Buffer.from(`${i}`)] }],
          });
        }
        return send({ op: 'searchResultDone', result: SUCCESS });
      case 'extendedRequest':
        if (request.oid === '1.3.6.1.4.1.1466.20037') {
          send({ op: 'extendedResponse', result: SUCCESS, oid: request.oid });
          return this.connection.startTls();
        }
        return send({
          op: 'extendedResponse',
          result: SUCCESS,
          value: Buffer.from(this.identity === '' ? '' : `dn:${this.identity}`),
        });
      case 'compareRequest':
        return send({
          op: 'compareResponse',
          result: { ...SUCCESS, code: request.value.equals(Buffer.from('yes')) ? 6 : 5 },
        });
      default:
        return send({ op: ANSWER[request.op], result: SUCCESS });
    }
  }
}

export interface TinyOptions {
  /** How many entries each search returns; 1 unless told. */
  entries?: number;
  /** Sees each request first; true = it has dealt with it. */
  intercept?: (message: Message, connection: ServerConnection) => boolean;
}
