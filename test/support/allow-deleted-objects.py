"""Lets an account list the deleted objects of a domain, as dsacls does on Windows: samba-tool cannot. Arguments: smb.conf, account name."""

import sys

import ldb
from samba.auth import system_session
from samba.dcerpc import security
from samba.ndr import ndr_pack, ndr_unpack
from samba.param import LoadParm
from samba.samdb import SamDB

smb_conf, account = sys.argv[1:]
lp = LoadParm()
lp.load(smb_conf)
db = SamDB(url=lp.private_path("sam.ldb"), session_info=system_session(), lp=lp)
domain = security.dom_sid(db.get_domain_sid())
found = db.search(expression="(sAMAccountName=%s)" % account, attrs=["objectSid"])
sid = ndr_unpack(security.dom_sid, found[0]["objectSid"][0])
dn = ldb.Dn(db, "CN=Deleted Objects,%s" % db.domain_dn())
controls = ["show_deleted:1", "sd_flags:1:4"]
found = db.search(base=dn, scope=ldb.SCOPE_BASE, attrs=["nTSecurityDescriptor"], controls=controls)
text = ndr_unpack(security.descriptor, found[0]["nTSecurityDescriptor"][0]).as_sddl(domain)
descriptor = security.descriptor.from_sddl(text.replace("(", "(A;;LCRPLO;;;%s)(" % sid, 1), domain)
change = ldb.Message()
change.dn = dn
change["nTSecurityDescriptor"] = ldb.MessageElement(ndr_pack(descriptor), ldb.FLAG_MOD_REPLACE, "nTSecurityDescriptor")
db.modify(change, controls)
