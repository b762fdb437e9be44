/**
 * What the test and `children/consumer.ts` agree on.
 */

/** A century, so that no token comes back meanwhile. */
export const WINDOW = '36500d'

/** What a consumer says of its calls, one letter for each kind. */
export const LETTERS = 'abcimh'
