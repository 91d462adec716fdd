/** maxInt (RFC 4511 §4.1.1): the largest message id, limit and result code. */
export const MAX_INT = 2_147_483_647;
