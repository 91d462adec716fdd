/** A vici socket played by the test: what it answers, byte for byte, is the test's; what it was asked is kept. */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ViciFramer } from '../../src/vici/framer.ts';
import { decodePacket, type ViciPacket } from '../../src/vici/packet.ts';
import { hand } from './hand-vici.ts';

/** What is sent back for a packet; undefined: nothing. Registrations are confirmed unless it answers them. */
export type Answer = (packet: ViciPacket, socket: Socket) => Buffer | undefined;

export const CONFIRMED = hand.packet(5, undefined);
export const UNKNOWN_EVENT = hand.packet(6, undefined);
export const UNKNOWN_COMMAND = hand.packet(2, undefined);
export const response = (...message: readonly Buffer[]): Buffer => hand.packet(1, undefined, ...message);
export const event = (name: string, ...message: readonly Buffer[]): Buffer =>
  hand.packet(7, name, ...message);

export class PlayedVici implements AsyncDisposable {
  readonly path: string;
  readonly sockets = new Set<Socket>();
  readonly asked: string[] = [];
  readonly #folder: string;
  #server: Server | undefined;
  answer: Answer;

  private constructor(folder: string, answer: Answer) {
    this.#folder = folder;
    this.path = join(folder, 'vici');
    this.answer = answer;
  }

  static async open(answer: Answer): Promise<PlayedVici> {
    const played = new PlayedVici(await mkdtemp(join(tmpdir(), 'postern-vici-')), answer);
    await played.listen();
    return played;
  }

  async listen(): Promise<void> {
    const server = createServer((socket) => this.#serve(socket));
    this.#server = server;
    server.listen(this.path);
    await once(server, 'listening');
  }

  /** As a charon that dies. */
  async close(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    for (const socket of this.sockets) socket.destroy();
    if (server !== undefined) await new Promise((resolve) => server.close(resolve));
  }

  send(bytes: Buffer): void {
    for (const socket of this.sockets) socket.write(bytes);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
    await rm(this.#folder, { recursive: true, force: true });
  }

  #serve(socket: Socket): void {
    this.sockets.add(socket);
    const framer = new ViciFramer();
    socket.on('error', () => undefined);
    socket.on('close', () => this.sockets.delete(socket));
    socket.on('data', (chunk) => {
      framer.push(chunk);
      for (const bytes of framer) {
        const packet = decodePacket(bytes);
        this.asked.push('name' in packet ? `${packet.kind} ${packet.name}` : packet.kind);
        const registration = packet.kind === 'register' || packet.kind === 'unregister';
        const answer = this.answer(packet, socket) ?? (registration ? CONFIRMED : undefined);
        if (answer !== undefined) socket.write(answer);
      }
    });
  }
}
