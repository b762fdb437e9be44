/**
 * Compares the output of a program with the expected output, where `…` stands for at least one character of a line.
 */

/**
 * The printed lines. A line that matches its expectation is replaced by that expectation, so that the two lists can be
 * compared.
 */
export function asExpected(output: string, expected: string): { found: string[]; wanted: string[] } {
  const wanted = linesOf(expected)
  const found = linesOf(output).map((line, index) => {
    const pattern = wanted[index]
    return pattern !== undefined && matches(line, pattern) ? pattern : line
  })
  return { found, wanted }
}

function matches(line: string, pattern: string): boolean {
  const parts = pattern.split('…').map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`))
  return new RegExp(`^${parts.join('.+')}$`).test(line)
}

function linesOf(text: string): string[] {
  const lines = text.split('\n')
  return lines.at(-1) === '' ? lines.slice(0, -1) : lines
}
