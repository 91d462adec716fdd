/** Schema as text (RFC 4512). */
import { formatDescription, type Description } from '../../../src/directory/schema/description.ts';
import { parseDescription } from '../../../src/directory/schema/parse-description.ts';
import { standardSchema } from '../../../src/directory/schema/standard.ts';
import { type FuzzTarget, mustBeEqual, valueOrRefusal } from '../target.ts';

const KINDS = [
  'attributeType',
  'objectClass',
  'matchingRule',
  'ldapSyntax',
] as const satisfies readonly Description['kind'][];

/** The first octet chooses the kind of description. */
export const SCHEMA: FuzzTarget = {
  name: 'schema',
  shape: 'text',
  mostBytes: 3000,
  words: [
    'NAME ',
    'DESC ',
    'SUP ',
    'EQUALITY ',
    'SYNTAX ',
    'MUST ',
    'MAY ',
    'SINGLE-VALUE',
    'X-ORIGIN ',
    "'",
    ' $ ',
    '( ',
    ' )',
    '{64}',
    '\\27',
    '\\5c',
    'USAGE dSAOperation',
    'STRUCTURAL',
    'OBSOLETE',
  ],
  // Building the standard schema is most of it.
  steps: { base: 300_000, perByte: 2000 },
  examples: () =>
    [
      "0( 1.2.3 NAME ( 'a' 'b' ) DESC 'it\\27s' SUP name EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15{64} SINGLE-VALUE X-ORIGIN 'x' )",
      "0( 1.2.3 NAME 'a' OBSOLETE ORDERING x SUBSTR y COLLECTIVE NO-USER-MODIFICATION USAGE directoryOperation )",
      "1( 1.2.4 NAME 'c' SUP ( top $ person ) STRUCTURAL MUST ( cn $ sn ) MAY description )",
      "2( 2.5.13.2 NAME 'caseIgnoreMatch' SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )",
      "3( 1.3.6.1.4.1.1466.115.121.1.15 DESC 'Directory String' )",
      "4( 2.5.6.6 NAME 'r' AUX ( posixAccount $ mailbox ) MUST cn MAY ( sn $ l ) NOT description )",
    ].map((item) => Buffer.from(item)),
  run(input) {
    const kind = KINDS[(input[0] ?? 0) % KINDS.length] as (typeof KINDS)[number];
    const text = input.toString('utf8', 1);
    const description = valueOrRefusal(() => parseDescription(kind, text));
    if (description !== undefined) {
      const written = formatDescription(description);
      mustBeEqual(parseDescription(kind, written), description, `description ${written}`);
    }
    const keyword = ['attributetype', 'objectclass', 'matchingrule', 'ldapsyntax', 'ditcontentrule'][
      KINDS.indexOf(kind)
    ] as string;
    // Building the whole schema costs more than reading the text.
    if (description !== undefined && input.length % 8 === 0)
      valueOrRefusal(() => standardSchema([`${keyword} ${text}`]));
  },
};
