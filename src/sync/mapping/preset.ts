/** How entries of well-known schemas become recipients, as data. `mapping.ts` applies it. */
import { createHash } from 'node:crypto';
import type { RecipientKind } from '../recipient.ts';

export interface MappingRules {
  readonly name: string;
  /** Attributes whose values are addresses. */
  readonly addresses: readonly string[];
  /** Attributes whose values are `smtp:` or `SMTP:` followed by an address; other prefixes are dropped. */
  readonly proxyAddresses: readonly string[];
  /** First rule that fits names the kind; `user` when none does. Object classes and attribute values ignore case. */
  readonly kinds: readonly {
    readonly attribute: string;
    readonly value: string;
    readonly kind: RecipientKind;
  }[];
  /** An entry with one of these values is no recipient for the perimeter (refuses outside senders, disabled). */
  readonly leaveOut: readonly { readonly attribute: string; readonly value: string }[];
  /** With it, an entry without this attribute value is no recipient. */
  readonly require?: { readonly attribute: string; readonly value: string };
}

const GROUP_CLASSES = [
  'group',
  'groupOfNames',
  'groupOfUniqueNames',
  'groupOfMembers',
  'mailGroup',
  'rfc822MailGroup',
];
const groups = GROUP_CLASSES.map((value) => ({ attribute: 'objectClass', value, kind: 'group' as const }));

export const MAPPING_PRESETS: Readonly<Record<string, MappingRules>> = {
  inetorgperson: {
    name: 'inetorgperson',
    addresses: ['mail', 'mailAlternateAddress', 'mailLocalAddress', 'rfc822MailAlias'],
    proxyAddresses: ['proxyAddresses'],
    kinds: groups,
    leaveOut: [],
  },
  'active-directory': {
    name: 'active-directory',
    addresses: ['mail'],
    proxyAddresses: ['proxyAddresses'],
    kinds: [
      { attribute: 'msExchRecipientTypeDetails', value: '4', kind: 'sharedMailbox' },
      { attribute: 'msExchRecipientTypeDetails', value: '16', kind: 'resource' },
      { attribute: 'msExchRecipientTypeDetails', value: '32', kind: 'resource' },
      { attribute: 'objectClass', value: 'publicFolder', kind: 'publicFolder' },
      { attribute: 'objectClass', value: 'contact', kind: 'contact' },
      ...groups,
    ],
    leaveOut: [
      { attribute: 'msExchRequireAuthToSendTo', value: 'TRUE' },
      { attribute: 'isDeleted', value: 'TRUE' },
    ],
  },
  zimbra: {
    name: 'zimbra',
    addresses: ['zimbraMailDeliveryAddress', 'zimbraMailAlias', 'mail'],
    proxyAddresses: [],
    kinds: [
      { attribute: 'objectClass', value: 'zimbraDistributionList', kind: 'group' },
      { attribute: 'objectClass', value: 'zimbraCalendarResource', kind: 'resource' },
    ],
    leaveOut: [
      { attribute: 'zimbraMailStatus', value: 'disabled' },
      { attribute: 'zimbraAccountStatus', value: 'closed' },
    ],
  },
  'postfix-book': {
    name: 'postfix-book',
    addresses: ['mail', 'mailAlias'],
    proxyAddresses: [],
    kinds: groups,
    leaveOut: [{ attribute: 'mailEnabled', value: 'FALSE' }],
  },
};

/** Name and fingerprint of rules, for `FeedIdentity.mapping`: rules that were overridden are other rules. */
export function mappingIdentity(rules: MappingRules): string {
  const { name, addresses, proxyAddresses, kinds, leaveOut, require } = rules;
  const content = JSON.stringify([addresses, proxyAddresses, kinds, leaveOut, require ?? null]);
  return `${name}:${createHash('sha256').update(content).digest('hex').slice(0, 16)}`;
}
