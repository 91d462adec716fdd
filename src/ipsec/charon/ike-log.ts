/** What charon's log says about a connection that does not come up, in our words. Pure; a hint for people, nothing is decided by it. */

const REASONS: readonly (readonly [pattern: RegExp, reason: string])[] = [
  [/^giving up after \d+ retransmits/, 'the peer does not answer'],
  [
    /^no trusted .* public key found for|^signature validation failed/,
    'the peer is not who it must be: its key is not pinned here',
  ],
  [/^no private key found for/, "this host's own key is not in charon"],
  [
    /^received AUTHENTICATION_FAILED/,
    'the peer does not accept this host (our certificate is not pinned there)',
  ],
  [/subject certificate invalid/, 'the certificate has expired, or is not valid yet'],
  [/^received NO_PROPOSAL_CHOSEN/, 'the two sides have no algorithms in common'],
  [/^received TS_UNACCEPTABLE/, 'the peer does not protect the same ports'],
  [/^received INVALID_KE_PAYLOAD/, 'the peer wants another key exchange (tried again by itself)'],
  [
    /unable to install (?:inbound|outbound|IPsec)/,
    'the kernel refused the association (are ESP and its ciphers in this kernel?)',
  ],
  [/^error writing to socket|^sending failed|Network is unreachable/, 'this host has no route to the peer'],
  [/^peer didn't accept transport mode/i, 'the peer does not offer transport mode'],
];

/** Undefined for what says nothing about a failure. */
export function reasonOf(message: string): string | undefined {
  return REASONS.find(([pattern]) => pattern.test(message))?.[1];
}
