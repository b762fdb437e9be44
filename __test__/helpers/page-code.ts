/**
 * The code of a page of the documentation, and the output that its comments promise.
 *
 * The blocks of one page are one program. A comment behind a `console.log` is the printed line, with `…` for any text. A
 * block of text after the word "prints" is output as well.
 */

/** The program of a page; empty if it has none. */
export function codeOf(text: string): string {
  return [...text.matchAll(/^```js\n([\s\S]*?)^```$/gm)].map(([, code]) => code).join('\n')
}

/** The same program as a CommonJS module. */
export function commonJsOf(text: string): string {
  const required = codeOf(text).replaceAll(/^import (.+) from (.+)$/gm, 'const $1 = require($2)')
  return `async function main() {\n${required}\n}\nmain()\n`
}

/** The lines that it prints. */
export function outputOf(text: string): string[] {
  const parts = text.matchAll(/^```js\n([\s\S]*?)^```$|^prints\n\n```text\n([\s\S]*?)^```$/gm)
  return [...parts].flatMap(([, code, output]) =>
    code === undefined
      ? (output as string).trimEnd().split('\n')
      : [...code.matchAll(/^\s*console\.log\(.*\) \/\/ (.*)$/gm)].map(([, line]) => line as string),
  )
}

/** What was printed, with each line that fits its promise replaced by it. */
export function asPromised(printed: string, wanted: readonly string[]): string[] {
  const lines = printed.split('\n').filter(Boolean)
  return lines.map((line, i) => (matches(line, wanted[i]) ? (wanted[i] as string) : line))
}

function matches(line: string, wanted: string | undefined): boolean {
  if (wanted === undefined) return false
  const pattern = wanted.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&').replaceAll('…', '.+')
  return new RegExp(`^${pattern}$`).test(line)
}
