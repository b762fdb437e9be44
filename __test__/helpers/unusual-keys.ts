/**
 * Keys that a careless store would take for another key, or for something special.
 */
export const UNUSUAL_KEYS: readonly string[] = [
  'a',
  'A',
  ' ',
  '\0',
  'a\0b',
  'é',
  'e\u0301',
  '€',
  '😀',
  '\uFEFF',
  'before\uFFFDafter',
  '__proto__',
  'constructor',
  'toString',
  '0',
  '00',
  '-1',
  '\n',
]
