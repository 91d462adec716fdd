/** Python's ldap module and Samba's ldb tools as clients of a listening directory. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runProgram } from '../../support/ldap-tool.ts';
import {
  ADMINISTRATOR,
  addition,
  type ServedDirectory,
  serveDirectory,
} from '../../support/served-directory.ts';

const BASE = 'dc=example,dc=org';
const entries = [
  addition(BASE, { objectClass: ['domain'], dc: ['example'] }),
  ...Array.from({ length: 25 }, (_, n) =>
    addition(`cn=p${n},${BASE}`, {
      objectClass: ['inetOrgPerson'],
      sn: [`s${n % 3}`],
      employeeNumber: [`${100 - n}`],
    }),
  ),
];

let served: ServedDirectory;
beforeAll(async () => {
  served = await serveDirectory({ entries });
});
afterAll(() => served?.[Symbol.asyncDispose]());

/** Runs a script that prints one JSON value as its last act. */
async function python(body: string): Promise<unknown> {
  const begin = `
import json, ldap, ldap.controls, ldap.filter, ldap.modlist, ldap.schema, ldap.extop, ldap.dn
from ldap.controls import SimplePagedResultsControl
from ldap.controls.readentry import PreReadControl, PostReadControl
from ldap.controls.simple import ManageDSAITControl
from ldap.controls.libldap import AssertionControl
from ldap.controls.sss import SSSRequestControl
c = ldap.initialize(${JSON.stringify(served.url)})
c.protocol_version = 3
c.network_timeout = 20
c.simple_bind_s(${JSON.stringify(ADMINISTRATOR.dn)}, ${JSON.stringify(ADMINISTRATOR.password)})
BASE = ${JSON.stringify(BASE)}
def refused(call, *arguments):
    try:
        call(*arguments)
    except ldap.LDAPError as error:
        return type(error).__name__
    return None
`;
  // Debian's, which has Debian's modules.
  const { code, out, error } = await runProgram('/usr/bin/python3', ['-c', begin + body]);
  expect([code, error]).toEqual([0, '']);
  return JSON.parse(out);
}

describe("Python's ldap module", () => {
  it('who am I, root DSE', async () => {
    const answer = await python(`
root = c.read_rootdse_s()
print(json.dumps([c.whoami_s(), [v.decode() for v in root['namingContexts']], c.get_naming_contexts() == root['namingContexts']]))
`);
    expect(answer).toEqual([`dn:${ADMINISTRATOR.dn}`, [BASE], true]);
  });

  it('the whole schema can be read by its parser, and describes entries', async () => {
    const answer = await python(`
dn = c.search_subschemasubentry_s(BASE)
entry = c.read_subschemasubentry_s(dn)
schema = ldap.schema.SubSchema(entry, check_uniqueness=2)
must, may = schema.attribute_types(['inetOrgPerson'])
print(json.dumps([dn, sorted(a.names[0] for a in must.values()), schema.get_inheritedattr(ldap.schema.AttributeType, 'cn', 'syntax'), schema.get_structural_oc(['top', 'person', 'organizationalPerson', 'inetOrgPerson']), len(schema.non_unique_oids)]))
`);
    expect(answer).toEqual([
      'cn=Subschema',
      ['cn', 'objectClass', 'sn'],
      '1.3.6.1.4.1.1466.115.121.1.15',
      '2.16.840.1.113730.3.2.2',
      0,
    ]);
  });

  it('adds, modifies, renames, compares, deletes, with errors by name', async () => {
    const answer = await python(`
dn = 'cn=' + ldap.dn.escape_dn_chars('Ünal, A+B ') + ',' + BASE
old = {'objectClass': [b'inetOrgPerson'], 'sn': [b'x'], 'description': [b'a', b'b']}
c.add_s(dn, ldap.modlist.addModlist(old))
log = [refused(c.add_s, dn, ldap.modlist.addModlist(old))]
c.modify_s(dn, ldap.modlist.modifyModlist(old, {'objectClass': [b'inetOrgPerson'], 'sn': [b'y'], 'title': ['Dr. é'.encode()]}))
log.append(c.compare_s(dn, 'title', 'DR. É'.encode()))
log.append(refused(c.compare_s, dn, 'description', b'a'))
log.append(refused(c.modify_s, dn, [(ldap.MOD_ADD, 'member', BASE.encode())]))
log.append(refused(c.rename_s, dn, 'cn=p1'))
c.rename_s(dn, 'cn=new', 'cn=p0,' + BASE, 1)
found = c.search_s('cn=p0,' + BASE, ldap.SCOPE_ONELEVEL, ldap.filter.filter_format('(sn=%s)', ['y']), ['cn', 'title', 'description'])
log.append([[dn, {k: [x.decode() for x in v] for k, v in e.items()}] for dn, e in found])
log.append(refused(c.delete_s, 'cn=p0,' + BASE))
c.delete_s('cn=new,cn=p0,' + BASE)
log.append(refused(c.delete_s, 'cn=new,cn=p0,' + BASE))
print(json.dumps(log))
`);
    expect(answer).toEqual([
      'ALREADY_EXISTS',
      true,
      'NO_SUCH_ATTRIBUTE',
      'OBJECT_CLASS_VIOLATION',
      'ALREADY_EXISTS',
      [[`cn=new,cn=p0,${BASE}`, { cn: ['new'], title: ['Dr. é'] }]],
      'NOT_ALLOWED_ON_NONLEAF',
      'NO_SUCH_OBJECT',
    ]);
  });

  it('pages, in an order', async () => {
    const answer = await python(`
names, pages, cookie = [], 0, ''
while True:
    paged = SimplePagedResultsControl(True, 10, cookie)
    order = SSSRequestControl(ordering_rules=['-sn:2.5.13.3', 'employeeNumber:caseIgnoreOrderingMatch'])
    sent = c.search_ext(BASE, ldap.SCOPE_ONELEVEL, '(sn=*)', ['employeeNumber', 'sn'], serverctrls=[paged, order])
    kind, data, msgid, controls = c.result3(sent)
    pages += 1
    names += [(e['sn'][0].decode(), e['employeeNumber'][0].decode()) for dn, e in data]
    cookie = [k.cookie for k in controls if k.controlType == SimplePagedResultsControl.controlType][0]
    if not cookie: break
print(json.dumps([pages >= 3, len(names), names == sorted(names, key=lambda n: (-int(n[0][1:]), n[1]))]))
`);
    expect(answer).toEqual([true, 25, true]);
  });

  it('assertion, pre-read, post-read, an unknown critical control', async () => {
    const answer = await python(`
dn = 'cn=p5,' + BASE
before, after = PreReadControl(True, ['sn']), PostReadControl(True, ['sn', 'entryDN'])
change = [(ldap.MOD_REPLACE, 'sn', [b'changed'])]
kind, data, msgid, controls = c.result3(c.modify_ext(dn, change, serverctrls=[before, after, AssertionControl(True, '(sn=s2)')]))
read = {k.controlType: {a: [v.decode() if isinstance(v, bytes) else v for v in vs] for a, vs in k.entry.items()} for k in controls}
log = [read[before.controlType], read[after.controlType]]
log.append(refused(lambda: c.modify_ext_s(dn, change, serverctrls=[AssertionControl(True, '(sn=s2)')])))
log.append(refused(lambda: c.search_ext_s(BASE, ldap.SCOPE_BASE, serverctrls=[ldap.controls.RequestControl('1.2.3.4', True, b'x')])))
log.append(len(c.search_ext_s(BASE, ldap.SCOPE_BASE, serverctrls=[ManageDSAITControl(True)])))
log.append(refused(lambda: c.search_ext_s(BASE, ldap.SCOPE_SUBTREE, sizelimit=3)))
print(json.dumps(log))
`);
    expect(answer).toEqual([
      { sn: ['s2'] },
      { sn: ['changed'], entryDN: [`cn=p5,${BASE}`] },
      'ASSERTION_FAILED',
      'UNAVAILABLE_CRITICAL_EXTENSION',
      1,
      'SIZELIMIT_EXCEEDED',
    ]);
  });

  it('cancels a search that would not end, and abandons one', async () => {
    const answer = await python(`
from ldap.syncrepl import SyncreplConsumer
sent = c.search(BASE, ldap.SCOPE_SUBTREE)
c.abandon(sent)
print(json.dumps([refused(c.cancel_s, 4711), c.whoami_s() != '']))
`);
    expect(answer).toEqual(['NO_SUCH_OPERATION', true]);
  });

  it('a consumer of content synchronisation (its syncrepl module)', async () => {
    const answer = await python(`
import uuid
from ldap.ldapobject import SimpleLDAPObject
from ldap.syncrepl import SyncreplConsumer
class Consumer(SimpleLDAPObject, SyncreplConsumer):
    def __init__(self, *args):
        super().__init__(*args); self.cookie = None; self.held = {}; self.present = []
    def syncrepl_get_cookie(self): return self.cookie
    def syncrepl_set_cookie(self, cookie): self.cookie = cookie
    def syncrepl_entry(self, dn, attrs, uuid): self.held[uuid] = dn
    def syncrepl_delete(self, uuids):
        for one in uuids: self.held.pop(one, None)
    def syncrepl_present(self, uuids, refreshDeletes=False):
        if uuids is None:
            if not refreshDeletes: self.held = {u: d for u, d in self.held.items() if u in self.present or u in self.new}
        elif refreshDeletes:
            for one in uuids: self.held.pop(one, None)
        else: self.present += uuids
    def syncrepl_refreshdone(self): pass
    def follow(self):
        self.present = []; before = set(self.held)
        sent = self.syncrepl_search(BASE, ldap.SCOPE_SUBTREE, mode='refreshOnly', cookie=self.cookie, filterstr='(objectClass=inetOrgPerson)')
        self.new = set()
        entry = self.syncrepl_entry
        def note(dn, attrs, uuid): self.new.add(uuid); entry(dn, attrs, uuid)
        self.syncrepl_entry = note
        while self.syncrepl_poll(msgid=sent, all=1): pass
        self.syncrepl_entry = entry
        return len(self.held)
s = Consumer(${JSON.stringify(served.url)})
s.simple_bind_s(${JSON.stringify(ADMINISTRATOR.dn)}, ${JSON.stringify(ADMINISTRATOR.password)})
counts = [s.follow()]
c.add_s('cn=late,' + BASE, [('objectClass', [b'inetOrgPerson']), ('sn', [b'x'])])
c.rename_s('cn=p7,' + BASE, 'cn=seven')
counts.append(s.follow())
c.delete_s('cn=late,' + BASE)
counts.append(s.follow())
print(json.dumps([counts, sorted(d for d in s.held.values() if 'seven' in d or 'p7' in d)]))
`);
    expect(answer).toEqual([[25, 26, 25], [`cn=seven,${BASE}`]]);
  });
});

describe("Samba's ldb tools", () => {
  // The first way is the ldb library's own; Samba's modules, where they are installed, know the second one only.
  const bind = (): string[] => [
    '-H',
    served.url,
    '-o',
    'bindMech:simple',
    '-o',
    `bindID:${ADMINISTRATOR.dn}`,
    '-o',
    `bindSecret:${ADMINISTRATOR.password}`,
    `--simple-bind-dn=${ADMINISTRATOR.dn}`,
    `--password=${ADMINISTRATOR.password}`,
  ];

  it('ldbsearch: filters, scopes, attributes', async () => {
    const one = await runProgram('ldbsearch', [
      ...bind(),
      '-b',
      BASE,
      '-s',
      'one',
      '(&(objectClass=person)(cn=P3))',
      'cn',
    ]);
    expect(one).toMatchObject({ code: 0, error: '' });
    expect(one.out).toContain(`dn: cn=p3,${BASE}\ncn: p3\n`);
    expect(one.out).toContain('# returned 1 records');
    const base = await runProgram('ldbsearch', [...bind(), '-b', BASE, '-s', 'base', '-S', '(dc=*)']);
    expect(base.out).toContain('objectClass: domain');
    const none = await runProgram('ldbsearch', [...bind(), '-b', `ou=none,${BASE}`]);
    expect(none.code).not.toBe(0);
  });

  it('ldbadd, ldbmodify, ldbrename, ldbdel', async () => {
    const dn = `cn=ldb,${BASE}`;
    const steps: readonly (readonly [string, readonly string[], string])[] = [
      ['ldbadd', [], `dn: ${dn}\nobjectClass: inetOrgPerson\nsn: x\n`],
      ['ldbmodify', [], `dn: ${dn}\nchangetype: modify\nreplace: sn\nsn: y\n-\nadd: title\ntitle: t\n`],
      ['ldbrename', [dn, `cn=ldb2,${BASE}`], ''],
    ];
    for (const [name, args, input] of steps)
      expect(await runProgram(name, [...bind(), ...args], { input })).toMatchObject({ code: 0 });
    const found = await runProgram('ldbsearch', [...bind(), '-b', BASE, '(title=T)', 'sn', 'cn']);
    expect(found.out).toContain(`dn: cn=ldb2,${BASE}\n`);
    expect(found.out).toMatch(/sn: y/);
    expect((await runProgram('ldbdel', [...bind(), `cn=ldb2,${BASE}`])).code).toBe(0);
    expect((await runProgram('ldbdel', [...bind(), `cn=ldb2,${BASE}`])).code).not.toBe(0);
  });
});
