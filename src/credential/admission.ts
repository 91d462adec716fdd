/**
 * Which hubs an edge trusts, decided from what a session pushed under cn=Hubs. A hub enters in one of two ways: it presented the subscription
 * file's account and its certificate is the one of that very session, or a hub that is admitted endorses it. It leaves when an admitted hub
 * states so, and does not come back by what was said of it before. Pure.
 */
import { isPosternError } from '../base/error.ts';
import { endorsedMembers, type Removals, removalsBy } from '../certificate/chain.ts';
import { isHostName } from '../certificate/name.ts';
import { type Certificate, parseCertificate } from '../certificate/parse.ts';
import { followStatements, pinsOf } from '../certificate/peer-pins.ts';
import { matchPin, type Pin, samePin } from '../certificate/pin.ts';
import { isNodeName, nameKey, sameFqdn, sameName } from './account-name.ts';
import { type AdmittedHub, findHub } from './credential-state.ts';
import { CLOCK_TOLERANCE_MS } from './schedule.ts';

/** An object under cn=Hubs, as it stands in the edge directory: claims, not facts. */
export interface HubObject {
  readonly name: string;
  readonly fqdn: string;
  /** DER; the first is the one that counts. */
  readonly certificate: Uint8Array;
  readonly statements: readonly Uint8Array[];
  /** Whether the account of the session that pushed wrote it, rather than another one before. Yes unless told. */
  readonly byPusher?: boolean;
}

/** The session that pushed. */
export interface PushSession {
  readonly role: 'bootstrap' | 'hub';
  /** The key that the client proved in this session. */
  readonly peerPin: Pin;
}

export interface Admission {
  /** Hubs that are trusted after this, by `nameKey`: those known before, and the new ones. */
  readonly hubs: Readonly<Record<string, AdmittedHub>>;
  /** Names of those that a trusted hub has removed from the site: their accounts go with them. */
  readonly removed: readonly string[];
  /** Every removal that has been heard of, since the statements may be taken away again. */
  readonly removals: Removals;
  /** Names of those that are new, or that showed a new key by means of a new subscription file. */
  readonly admitted: readonly string[];
  /** Names of those whose own statements lead to another key: as pushed, to be followed again from what is stored by then. */
  readonly followed: readonly string[];
  readonly refused: readonly { readonly hub: string; readonly reason: string }[];
}

/** Hubs an edge has; a site has a handful. */
const MOST_HUBS = 256;
/** Statements that are looked at, in all and of one object: each costs half a millisecond, in which no lookup is answered. */
const MOST_STATEMENTS = 256;
const MOST_STATEMENTS_OF_ONE = 16;

export function admitHubs(
  known: Readonly<Record<string, AdmittedHub>>,
  objects: readonly HubObject[],
  session: PushSession,
  now: number,
  heard: Iterable<readonly [Pin, number]> = [],
): Admission {
  const said = objects.flatMap((object) => object.statements.slice(0, MOST_STATEMENTS_OF_ONE));
  const { present, followed } = followedHubs(known, objects);
  const all = Object.values(present);
  const heardBefore = new Map(heard);
  const removals = new Map(
    removalsBy(
      all.flatMap((hub) => pinsOf(hub.pins)),
      said.slice(0, MOST_STATEMENTS),
      heardBefore,
    ),
  );
  // Dated in the far future it would outlast every later word: it counts from when it was first heard.
  for (const [pin, at] of removals)
    if (at > now + CLOCK_TOLERANCE_MS) removals.set(pin, Math.min(at, heardBefore.get(pin) ?? now));
  const removed = all.filter((hub) => isRemoved(hub, removals, all, said));
  const hubs: Record<string, AdmittedHub> = Object.fromEntries(
    Object.entries(present).filter(([, hub]) => !removed.includes(hub)),
  );
  const admitted: string[] = [];
  const refused: { hub: string; reason: string }[] = [];
  const refuse = (object: HubObject, reason: string): void =>
    void refused.push({ hub: object.name.slice(0, 80), reason });
  const admit = (object: HubObject, certificate: Certificate, by: AdmittedHub['admittedBy']): void => {
    hubs[nameKey(object.name)] = {
      name: object.name,
      fqdn: object.fqdn,
      pins: { current: certificate.pin },
      certificate: certificate.der,
      admittedAt: now,
      admittedBy: by,
    };
    admitted.push(object.name);
  };
  const strangers: { object: HubObject; certificate: Certificate }[] = [];
  for (const object of objects) {
    const certificate = certificateOf(object);
    if (certificate === undefined) {
      refuse(object, 'its name, host name or certificate cannot be used');
      continue;
    }
    // Objects that others have written may show any certificate: they must not carry the pusher's word to another name.
    const presents =
      session.role === 'bootstrap' && object.byPusher !== false && samePin(session.peerPin, certificate.pin);
    const before = findHub(hubs, object.name);
    if (before !== undefined && matchPin(before.pins, certificate.pin) !== undefined) continue;
    const count = Object.keys(hubs).length;
    if (presents && (before !== undefined || count < MOST_HUBS)) {
      // A new subscription file is the administrator's word: it also readmits a hub that was set up anew.
      admit(object, certificate, 'bootstrap');
    } else if (before !== undefined) {
      refuse(object, 'it shows another key than the one that is pinned');
    } else {
      strangers.push({ object, certificate });
    }
  }
  if (strangers.length > 0) {
    const roots = Object.values(hubs).flatMap((hub) => pinsOf(hub.pins));
    // Newcomers bring their endorsements with them; those of others may lead to them.
    const statements = [...strangers.map(({ object }) => object), ...objects].flatMap((object) =>
      object.statements.slice(0, MOST_STATEMENTS_OF_ONE),
    );
    const endorsed = endorsedMembers(roots, statements.slice(0, MOST_STATEMENTS), removals).filter(
      (member) => member.role === 'hub',
    );
    for (const { object, certificate } of strangers) {
      const vouched = endorsed.some(
        (member) =>
          samePin(member.pin, certificate.pin) &&
          (sameName(member.name, object.name) || sameFqdn(member.name, object.fqdn)),
      );
      if (!vouched) refuse(object, 'no admitted hub endorses it');
      else if (findHub(hubs, object.name) !== undefined || Object.keys(hubs).length >= MOST_HUBS)
        refuse(object, 'there are two hubs of its name, or too many hubs');
      else admit(object, certificate, 'endorsed');
    }
  }
  return { hubs, removed: removed.map((hub) => hub.name), removals, admitted, followed, refused };
}

/** What a hub that is known states of its own next key in its object, whoever brought it. */
export function followObject(hub: AdmittedHub, objects: readonly HubObject[]): AdmittedHub {
  const object = objects.find((one) => sameName(one.name, hub.name));
  if (object === undefined) return hub;
  const statements = object.statements.slice(0, MOST_STATEMENTS_OF_ONE);
  const { pins, certificate } = followStatements(hub.pins, hub.fqdn, statements);
  if (pins === hub.pins) return hub;
  return { ...hub, pins, ...(certificate === undefined ? {} : { nextCertificate: certificate }) };
}

function followedHubs(
  known: Readonly<Record<string, AdmittedHub>>,
  objects: readonly HubObject[],
): { readonly present: Readonly<Record<string, AdmittedHub>>; readonly followed: string[] } {
  const followed: string[] = [];
  const present = Object.entries(known).map(([key, hub]): [string, AdmittedHub] => {
    const now = followObject(hub, objects);
    if (now !== hub) followed.push(hub.name);
    return [key, now];
  });
  return { present: Object.fromEntries(present), followed };
}

/**
 * Whether the latest word about a hub is its removal. A subscription file counts from the moment it was presented; an endorsement says itself
 * when it was made (by clocks that may differ from ours).
 */
function isRemoved(
  hub: AdmittedHub,
  removals: Removals,
  all: readonly AdmittedHub[],
  said: readonly Uint8Array[],
): boolean {
  // Whoever removed it may not have heard of its next key, or not have forgotten the former one.
  const lineage = [...pinsOf(hub.pins), ...(hub.pins.former === undefined ? [] : [hub.pins.former])];
  const times = lineage.flatMap((pin) => removals.get(pin) ?? []);
  if (times.length === 0) return false;
  const at = Math.max(...times);
  if (hub.admittedBy === 'bootstrap') return at > hub.admittedAt;
  if (at <= hub.admittedAt - CLOCK_TOLERANCE_MS) return false;
  const others = all.flatMap((one) => pinsOf(one.pins)).filter((pin) => !removals.has(pin));
  const endorsed = endorsedMembers(others, said.slice(0, MOST_STATEMENTS), removals);
  return !endorsed.some((member) => lineage.some((pin) => samePin(member.pin, pin)));
}

function certificateOf(object: HubObject): Certificate | undefined {
  if (!isNodeName(object.name) || !isHostName(object.fqdn)) return undefined;
  try {
    return parseCertificate(object.certificate);
  } catch (error) {
    if (isPosternError(error)) return undefined;
    throw error;
  }
}
