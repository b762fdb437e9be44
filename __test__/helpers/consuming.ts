/**
 * Constants that the specs and `children/consumer.ts` share.
 */

/** A century, so that no token returns during a test. */
export const WINDOW = '36500d'

/** The reports of a consumer, one letter for each kind of call. */
export const LETTERS = 'abcimh'
