/** What OpenLDAP's tools are run against. */
import { addition } from '../../support/served-directory.ts';

export const BASE = 'dc=example,dc=org';
export const PEOPLE = `ou=people,${BASE}`;
export const entries = [
  addition(BASE, { objectClass: ['domain'], dc: ['example'] }),
  addition(PEOPLE, { objectClass: ['organizationalUnit'] }),
  addition(`cn=Ann,${PEOPLE}`, {
    objectClass: ['inetOrgPerson'],
    sn: ['Lee'],
    mail: ['ann@example.org'],
    employeeNumber: ['3'],
  }),
  addition(`cn=Bob,${PEOPLE}`, {
    objectClass: ['inetOrgPerson'],
    sn: ['Ray'],
    mail: ['bob@example.org'],
    employeeNumber: ['1'],
    jpegPhoto: [Buffer.from([0xff, 0xd8, 0xff, 0xe0])],
  }),
  addition(`cn=Cy,${PEOPLE}`, { objectClass: ['inetOrgPerson'], sn: ['Abe'], employeeNumber: ['2'] }),
];
