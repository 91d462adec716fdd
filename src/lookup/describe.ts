/** An answer in words, for `postern lookup`: what the mail server would be told, and why. Owns wording only. */
import { formatDuration } from '../base/duration.ts';
import { describeAddressProblem } from '../directory/address/address.ts';
import type { LookupAnswer } from './validator.ts';

export function describeVerdict(answer: LookupAnswer): string {
  switch (answer.verdict) {
    case 'known':
      return 'known: mail is accepted';
    case 'unknown':
      return 'unknown: mail is refused (550)';
    case 'temporarilyUnable':
      return 'temporarily unable: mail is asked to come again (451)';
    case 'notOurs':
      return 'not ours: the domain is not an accepted domain';
  }
}

/** One sentence without a full stop. */
export function describeReason(answer: LookupAnswer): string {
  const entry =
    answer.recipient === undefined
      ? ''
      : ` (entry ${formatGuid(answer.recipient.guid)}${answer.recipient.pendingDelete ? ', its removal is held back' : ''})`;
  switch (answer.rule) {
    case 'exact':
      return answer.matched === undefined
        ? `${answer.domain} is an accepted domain, ${answer.domainKind}`
        : `${answer.matched} is a recipient's address${entry}`;
    case 'withoutExtension':
      return `without its extension, ${answer.matched} is a recipient's address${entry}`;
    case 'postmaster':
      return `postmaster is accepted in every accepted domain`;
    case 'catchAll':
      return `${answer.domain} accepts every local part`;
    case 'relay':
      return `${answer.domain} (${answer.domainKind}) has recipients that are not known here`;
    case 'noSuchRecipient':
      return `no recipient has this address${confirmed(answer)}`;
    case 'recipientsNotLoaded':
      return 'not found, but the recipients have not been loaded completely yet';
    case 'recipientsStale':
      return `not found, but the recipients are too old to say so${confirmed(answer)}`;
    case 'domainsNotLoaded':
      return 'the accepted domains have not been loaded completely yet';
    case 'foreignDomain':
      return `${answer.domain} is not among the accepted domains`;
    case 'malformed':
      return answer.problem === undefined ? 'not an address' : describeAddressProblem(answer.problem);
  }
}

function confirmed({ ageMs, maxAgeMs }: LookupAnswer): string {
  if (ageMs === undefined) return '; the source never confirmed them';
  const when =
    ageMs < 0 ? `${formatDuration(-ageMs)} ahead of this machine's clock` : `${formatDuration(ageMs)} ago`;
  const limit = maxAgeMs === undefined ? '' : `, the limit is ${formatDuration(maxAgeMs)}`;
  return `; the source confirmed them ${when}${limit}`;
}

function formatGuid(guid: Uint8Array): string {
  const hex = Buffer.from(guid).toString('hex');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}
