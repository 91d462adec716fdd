/** Definitions that both servers load besides the standard ones: one attribute type for each syntax and kind of rule worth asking. */
const SYNTAX = '1.3.6.1.4.1.1466.115.121.1';
const ARC = '2.25.329800735698586629295641978511506172918';

export const TEST_SCHEMA = `
attributetype ( ${ARC}.1.1 NAME 'testInteger' EQUALITY integerMatch ORDERING integerOrderingMatch SYNTAX ${SYNTAX}.27 )
attributetype ( ${ARC}.1.2 NAME 'testCount' EQUALITY integerMatch ORDERING integerOrderingMatch SYNTAX ${SYNTAX}.27 SINGLE-VALUE )
attributetype ( ${ARC}.1.3 NAME 'testBoolean' EQUALITY booleanMatch SYNTAX ${SYNTAX}.7 SINGLE-VALUE )
attributetype ( ${ARC}.1.4 NAME 'testTime' EQUALITY generalizedTimeMatch ORDERING generalizedTimeOrderingMatch SYNTAX ${SYNTAX}.24 )
attributetype ( ${ARC}.1.5 NAME 'testExact' EQUALITY caseExactMatch ORDERING caseExactOrderingMatch SUBSTR caseExactSubstringsMatch SYNTAX ${SYNTAX}.15 )
attributetype ( ${ARC}.1.6 NAME 'testIgnore' EQUALITY caseIgnoreMatch ORDERING caseIgnoreOrderingMatch SUBSTR caseIgnoreSubstringsMatch SYNTAX ${SYNTAX}.15 )
attributetype ( ${ARC}.1.7 NAME 'testOctets' EQUALITY octetStringMatch ORDERING octetStringOrderingMatch SYNTAX ${SYNTAX}.40 )
attributetype ( ${ARC}.1.8 NAME 'testNumeric' EQUALITY numericStringMatch ORDERING numericStringOrderingMatch SUBSTR numericStringSubstringsMatch SYNTAX ${SYNTAX}.36 )
attributetype ( ${ARC}.1.9 NAME 'testBits' EQUALITY bitStringMatch SYNTAX ${SYNTAX}.6 )
attributetype ( ${ARC}.1.10 NAME 'testOid' EQUALITY objectIdentifierMatch SYNTAX ${SYNTAX}.38 )
attributetype ( ${ARC}.1.11 NAME ( 'testChild' 'testChildAlias' ) SUP testIgnore )
objectclass ( ${ARC}.2.1 NAME 'testThings' SUP top AUXILIARY MAY ( testInteger $ testCount $ testBoolean $ testTime $ testExact $ testIgnore $ testOctets $ testNumeric $ testBits $ testOid $ testChild ) )
`.trim();
