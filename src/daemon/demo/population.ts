/** A made-up organisation: people with addresses in three domains; the same for the same number. Pure. */

export interface DemoPerson {
  readonly uid: string;
  readonly cn: string;
  readonly sn: string;
  /** Primary address first. */
  readonly addresses: readonly string[];
}

export const DEMO_DOMAINS = [
  { domain: 'example.org', kind: 'authoritative', recipientDelimiter: '+' },
  { domain: 'example.com', kind: 'authoritative', recipientDelimiter: '' },
  { domain: 'example.net', kind: 'internalRelay', recipientDelimiter: '' },
] as const;

const GIVEN = [
  'Ada',
  'Alan',
  'Amélie',
  'Barbara',
  'Björn',
  'Chiara',
  'Dana',
  'Edsger',
  'Eszter',
  'Frances',
  'Grace',
  'Hedy',
  'İpek',
  'Jun',
  'Katherine',
  'Łukasz',
  'Margaret',
  'Naoko',
  'Olga',
  'Per',
  'Radia',
  'Søren',
  'Tim',
  'Ursula',
  'Vint',
  'Wietse',
  'Ximena',
  'Yukihiro',
  'Zoë',
] as const;
const FAMILY = [
  'Almeida',
  'Bauer',
  'Çelik',
  'Dvořák',
  'Eriksson',
  'Fischer',
  'García',
  'Horváth',
  'Ivanova',
  'Jansen',
  'Kowalska',
  'Lefèvre',
  'Müller',
  'Nakamura',
  'O’Brien',
  'Papadopoulos',
  'Quispe',
  'Rossi',
  'Šimić',
  'Tanaka',
  'Ueda',
  'Virtanen',
  'Weiß',
  'Xu',
  'Yılmaz',
  'Zieliński',
  'Ångström',
] as const;

/** Person number `n` (from 0). Every fourth is in another domain, every third has an alias, every tenth one in the relay domain. */
export function demoPerson(n: number): DemoPerson {
  const given = GIVEN[n % GIVEN.length] ?? 'Ada';
  const family = FAMILY[Math.floor(n / GIVEN.length) % FAMILY.length] ?? 'Bauer';
  const uid = `${ascii(given)}.${ascii(family)}.${n}`;
  const domain = n % 4 === 3 ? 'example.com' : 'example.org';
  const addresses = [`${uid}@${domain}`];
  if (n % 3 === 0) addresses.push(`${ascii(given).charAt(0)}${n}@example.org`);
  if (n % 10 === 0) addresses.push(`${uid}@example.net`);
  return { uid, cn: `${given} ${family}`, sn: family, addresses };
}

/** Lower-case ASCII spelling of a name, for a local part. */
function ascii(name: string): string {
  const special: Readonly<Record<string, string>> = { ł: 'l', ø: 'o', ß: 'ss', ı: 'i', '’': '' };
  return name
    .toLowerCase()
    .replace(/[łøßı’]/g, (c) => special[c] ?? '')
    .normalize('NFD')
    .replace(/[^a-z]/g, '');
}
