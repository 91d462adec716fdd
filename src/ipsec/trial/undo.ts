/**
 * Requests that make charon forget a policy on trial and hold the former one again, as the octets that are written to its socket: whoever sends
 * them needs to know nothing. Private keys are not among them: those of the former policy are still loaded.
 */
import { encodeRequest } from '../../vici/packet.ts';
import { bypassMessage, connectionMessage } from '../charon/connection-message.ts';
import type { DesiredBypass, DesiredConnection } from '../desired.ts';
import type { PolicyState } from '../state/policy-state.ts';

export function undoRequests(former: PolicyState | undefined, tried: PolicyState | undefined): Buffer {
  const old = [...(former?.connections ?? []).map(requestOf), ...(former?.bypasses ?? []).map(passOf)];
  const fresh = [...(tried?.connections ?? []).map(requestOf), ...(tried?.bypasses ?? []).map(passOf)];
  const frames: Buffer[] = [];
  for (const { name } of fresh)
    if (!old.some((one) => one.name === name)) {
      // The trap first: or the next packet would bring the association back.
      frames.push(encodeRequest('unload-conn', { name }));
      frames.push(encodeRequest('terminate', { ike: name, force: true, timeout: -1 }));
    }
  const same = new Set(fresh.map(({ load }) => load.toString('base64')));
  for (const { load } of old) if (!same.has(load.toString('base64'))) frames.push(load);
  return Buffer.concat(frames);
}

interface Loading {
  readonly name: string;
  readonly load: Buffer;
}

const requestOf = (one: DesiredConnection): Loading => ({
  name: one.name,
  load: encodeRequest('load-conn', { [one.name]: connectionMessage(one) }),
});

const passOf = (one: DesiredBypass): Loading => ({
  name: one.name,
  load: encodeRequest('load-conn', { [one.name]: bypassMessage(one) }),
});
