/**
 * Unicode side of the normaliser: case folding of local parts. Owns the choice of folding; knows nothing of addresses.
 *
 * RFC 5321 §2.4 lets a host treat local parts case-sensitively, and then says that doing so is discouraged: directories
 * compare mail addresses without case, so two spellings that differ in case (or in Unicode normalisation, RFC 6532 §3.1)
 * are one address here.
 */

/** Dotless i folds to itself (Unicode CaseFolding.txt, statuses C and F), though its upper case is an ASCII I. */
const DOTLESS_I = 'ı';

const ASCII_ONLY = /^\p{ASCII}*$/u;

export function isAscii(text: string): boolean {
  return ASCII_ONLY.test(text);
}

/**
 * Canonical caseless form: NFC(fold(NFD(text))), Unicode D145. The platform has no case folding, so each code point goes
 * through lower, upper and lower case: alone, so that the final-sigma rule, which looks at neighbours, cannot apply. (Two
 * platforms can differ in letters that one's Unicode version does not know, in nothing else.)
 */
export function foldCase(text: string): string {
  if (isAscii(text)) return text.toLowerCase();
  let folded = '';
  for (const character of text.normalize('NFD')) {
    folded += character === DOTLESS_I ? character : character.toLowerCase().toUpperCase().toLowerCase();
  }
  return folded.normalize('NFC');
}
