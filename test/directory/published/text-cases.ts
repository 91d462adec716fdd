/** The RFCs' own examples of names, filters, syntaxes and prepared strings. */
import { add, person, search } from '../differential/request.ts';
import { at, found, type PublishedCase } from './cases.ts';

const BABS = [
  person('Babs Jensen', { sn: ['Jensen'] }),
  person('Tim Howes', { sn: ['Howes'] }),
  person('Babs Jones', { sn: ['Jensen', 'Jones'] }),
  person('Fred Flintstone', { sn: ['Flintstone'] }),
  person('Lučić', { sn: ['Lučić'] }),
  person('Star', { cn: ['Star', 'a*b'] }),
  add(at('o=University of Michigan'), { objectClass: ['organization'], o: ['University of Michigan'] }),
  add(at('o=Parens R Us (for all your parenthetical needs)'), {
    objectClass: ['organization'],
    o: ['Parens R Us (for all your parenthetical needs)'],
  }),
  add(at('cn=device'), {
    objectClass: ['device', 'testThings'],
    testExact: ['C:\\MyFile'],
    testOctets: ['\0\0\0\u0004'],
  }),
];
const NAMES = [
  'cn=Babs Jensen',
  'cn=Tim Howes',
  'cn=Babs Jones',
  'cn=Fred Flintstone',
  'cn=Lučić',
  'cn=Star',
];
const filter4515 = (filter: string, ...finds: string[]): PublishedCase => ({
  clause: `RFC 4515 §4 ${filter}`,
  given: BABS,
  asked: found(filter),
  finds,
});
const value4517 = (
  section: string,
  type: string,
  value: string,
  code = 0,
  slapdDiffers?: string,
): PublishedCase => ({
  clause: `RFC 4517 §3.3.${section} ${value}`,
  asked: add(at('cn=x'), { objectClass: ['person', 'extensibleObject'], sn: ['x'], [type]: [value] }),
  code,
  ...(slapdDiffers !== undefined && { slapdDiffers }),
});
const substring4518 = (filter: string, matches: boolean, slapdDiffers?: string): PublishedCase => ({
  clause: `RFC 4518 §2.6.1 ${filter}`,
  given: [person('x', { title: ['foo bar'] })],
  asked: found(filter),
  finds: matches ? ['cn=x'] : [],
  ...(slapdDiffers !== undefined && { slapdDiffers }),
});
const name4514 = (rdn: string, filter: string): PublishedCase => ({
  clause: `RFC 4514 §4 ${rdn}`,
  given: [add(at(rdn), { objectClass: ['person', 'extensibleObject'], sn: ['x'], cn: ['other'] })],
  asked: search(filter, { base: at(rdn), scope: 'base' }),
  finds: ['*'],
});

export const TEXT_CASES: readonly PublishedCase[] = [
  // --- names ---
  name4514('UID=jsmith', '(uid=JSmith)'),
  name4514('OU=Sales+CN=J.  Smith', '(&(ou=sales)(cn=j. smith))'),
  name4514('CN=James \\"Jim\\" Smith\\, III', '(cn=james "jim" smith, iii)'),
  name4514('CN=Before\\0dAfter', '(cn=Before\\0dAfter)'),
  name4514('CN=Lu\\C4\\8Di\\C4\\87', '(cn=Lučić)'),
  // --- filters ---
  filter4515('(cn=Babs Jensen)', 'cn=Babs Jensen'),
  filter4515('(&(objectClass=person)(!(cn=Tim Howes)))', ...NAMES.filter((name) => name !== 'cn=Tim Howes')),
  filter4515('(&(objectClass=Person)(|(sn=Jensen)(cn=Babs J*)))', 'cn=Babs Jensen', 'cn=Babs Jones'),
  filter4515('(o=univ*of*mich*)', 'o=University of Michigan'),
  filter4515('(seeAlso=)'),
  filter4515('(cn:caseExactMatch:=Fred Flintstone)', 'cn=Fred Flintstone'),
  filter4515('(cn:caseExactMatch:=fred flintstone)'),
  filter4515('(cn:=Fred flintstone)', 'cn=Fred Flintstone'),
  filter4515('(sn:dn:2.4.6.8.10:=Barney Rubble)'),
  filter4515('(o:dn:=University of michigan)', 'o=University of Michigan'),
  filter4515('(:1.2.3:=Wilma Flintstone)'),
  filter4515('(:DN:2.4.6.8.10:=Dino)'),
  filter4515(
    '(o=Parens R Us \\28for all your parenthetical needs\\29)',
    'o=Parens R Us (for all your parenthetical needs)',
  ),
  filter4515('(cn=*\\2A*)', 'cn=Star'),
  filter4515('(testExact=C:\\5cMyFile)', 'cn=device'),
  filter4515('(testOctets=\\00\\00\\00\\04)', 'cn=device'),
  filter4515('(sn=Lu\\c4\\8di\\c4\\87)', 'cn=Lučić'),
  filter4515('(1.3.6.1.4.1.1466.0=\\04\\02\\48\\69)'),
  // --- syntaxes ---
  value4517('2', 'testBits', "'0101111101'B"),
  value4517('2', 'testBits', '0101111101', 21),
  value4517('3', 'testBoolean', 'TRUE'),
  value4517('3', 'testBoolean', 'true', 21),
  value4517('4', 'c', 'US'),
  value4517('4', 'c', 'USA', 21),
  value4517('6', 'description', 'This is a value of Directory String containing #!%#@'),
  value4517('9', 'seeAlso', 'UID=jsmith,DC=example,DC=net'),
  value4517('9', 'seeAlso', 'CN=John Smith\\, III,DC=example,DC=net'),
  value4517('13', 'testTime', '199412161032Z'),
  value4517('13', 'testTime', '199412160532-0500'),
  value4517('13', 'testTime', '19941316103200Z', 21),
  value4517('16', 'testInteger', '1321'),
  value4517('16', 'testInteger', '-0', 21),
  value4517('16', 'testInteger', '01', 21),
  value4517('23', 'testNumeric', '15 079 672 281'),
  value4517('23', 'testNumeric', '15a', 21),
  value4517('28', 'postalAddress', '1234 Main St.$Anytown, CA 12345$USA'),
  value4517('28', 'postalAddress', '\\241,000,000 Sweepstakes$PO Box 1000000$Anytown, CA 12345$USA'),
  value4517('31', 'telephoneNumber', '+1 512 315 0280'),
  value4517('31', 'telephoneNumber', '+1-512-315-0280'),
  value4517('31', 'telephoneNumber', '+61 3 9896 7830'),
  {
    clause: 'RFC 4517 §4.2.16 times of other zones are the same time',
    given: [person('x', { testTime: ['199412161032Z'] })],
    asked: found('(testTime=199412160532-0500)'),
    finds: ['cn=x'],
  },
  {
    clause: 'RFC 4517 §4.2.29 telephone numbers without spaces and hyphens',
    given: [person('x', { telephoneNumber: ['+1-512-315-0280'] })],
    asked: found('(telephoneNumber=+1 5123150280)'),
    finds: ['cn=x'],
  },
  // --- string preparation: the value is prepared as " foo  bar " ---
  substring4518('(title=foo*)', true),
  substring4518('(title=*bar)', true),
  substring4518('(title=foo*bar)', true),
  substring4518('(title=foo *bar)', true),
  substring4518('(title=*o b*)', true),
  substring4518('(title=FOO   BAR)', true),
  substring4518('(title=foobar)', false),
  substring4518('(title=foo * bar)', true, 'spaces in substrings'),
  substring4518('(title=* foo*)', true, 'spaces in substrings'),
];
