/** LDIF of an organisation of any size, a string a block, so that a million people need no million-line string. */

/** `n` people under ou=people, each with a mail address and every third with two aliases; about 390 bytes each. */
export function* peopleLdif(count: number, suffix: string, from = 0): Generator<string> {
  for (let at = from; at < from + count; at += 5000) {
    const lines: string[] = [];
    for (let n = at; n < Math.min(from + count, at + 5000); n++) lines.push(personLdif(n, suffix));
    yield lines.join('');
  }
}

export function personLdif(n: number, suffix: string): string {
  const aliases = n % 3 === 0 ? `mail: alias.a${n}@example.org\nmail: alias.b${n}@example.net\n` : '';
  return `dn: uid=user${n},ou=people,${suffix}\nobjectClass: inetOrgPerson\nuid: user${n}\ncn: User Number ${n}\nsn: Number${n}\ngivenName: User\ntelephoneNumber: +1 555 ${String(n).padStart(7, '0')}\nmail: ${personAddress(n)}\n${aliases}\n`;
}

export function personAddress(n: number): string {
  return `user.number${n}@example.org`;
}
