/**
 * Reads Rust source text, as far as rust-modules.mjs needs it: comments, test modules, inline modules and `use`
 * declarations. Text that is left out is replaced by spaces, so that positions and lines stay.
 */

/** Blanks comments, strings and characters. */
export function blankComments(text) {
  const tokens = /\/\/[^\n]*|\/\*[\s\S]*?\*\/|b?r(#*)"[\s\S]*?"\1|b?"(?:\\[\s\S]|[^"\\])*"|b?'(?:\\.[^']*|[^'\\])'/g
  return text.replaceAll(tokens, blank)
}

/** Blanks items under `#[cfg(test)]`. Marks `mod x;` under it, so that `inTestFile` finds the file. */
export function blankTests(text) {
  let result = text
  for (const match of text.matchAll(/#\[cfg\((?:all\()?test\b[^\]]*\]\s*(?:#\[[^\]]*\]\s*)*/g)) {
    const start = match.index + match[0].length
    const declaration = /^(?:pub(?:\([^)]*\))?\s+)?mod\s+(\w+)\s*;/.exec(text.slice(start, start + 200))
    const end = declaration === null ? endOfItem(text, start) : start + declaration[0].length
    const replacement = blank(text.slice(match.index, end))
    result = result.slice(0, match.index) + replacement + result.slice(end)
  }
  return result
}

/** Whether no module declares this one any more: its declaration stands under `#[cfg(test)]`. */
export function inTestFile(files, module) {
  const segments = module.split('::')
  for (let length = 1; length <= segments.length && module !== ''; length++) {
    const parent = files.get(segments.slice(0, length - 1).join('::'))
    if (parent !== undefined && !new RegExp(`\\bmod\\s+${segments[length - 1]}\\b`).test(parent.text)) return true
  }
  return false
}

/** Modules with a body: name and range. */
export function inlineModules(text) {
  return [...text.matchAll(/\bmod\s+(\w+)\s*\{/g)].map((match) => ({
    name: match[1],
    start: match.index,
    end: endOfItem(text, match.index),
  }))
}

/** All `use` declarations; `leaves` are their paths, each with the name that it binds. */
export function useDeclarations(text) {
  return [...text.matchAll(/(?<![\w#])(pub(?:\([^)]*\))?\s+)?use\s+([^;]+);/g)].map((match) => ({
    start: match.index,
    end: match.index + match[0].length,
    isPublic: match[1] !== undefined,
    leaves: leavesOf(match[2].replaceAll(/\s+/g, ' ').trim()),
  }))
}

function leavesOf(tree, prefix = []) {
  const open = tree.indexOf('{')
  if (open < 0) {
    const [path, alias] = tree.trim().split(' as ')
    const segments = [...prefix, ...path.trim().replace(/^::/, '').split('::')]
    if (segments.at(-1) === 'self' && segments.length > 1) segments.pop()
    return [{ segments, name: alias?.trim() ?? segments.at(-1) }]
  }
  const before = tree
    .slice(0, open)
    .split('::')
    .map((part) => part.trim())
  const segments = [...prefix, ...before.filter((part) => part !== '')]
  return branches(tree.slice(open + 1, tree.lastIndexOf('}'))).flatMap((branch) => leavesOf(branch, segments))
}

/** Splits at the commas outside braces. */
function branches(text) {
  const parts = ['']
  let depth = 0
  for (const letter of text) {
    if (letter === '{') depth++
    if (letter === '}') depth--
    if (letter === ',' && depth === 0) parts.push('')
    else parts[parts.length - 1] += letter
  }
  return parts.map((part) => part.trim()).filter((part) => part !== '')
}

/** Where an item that begins at `start` ends: at its semicolon, or at the brace that closes its body. */
function endOfItem(text, start) {
  let depth = 0
  for (let i = start; i < text.length; i++) {
    if (text[i] === '{' || text[i] === '(' || text[i] === '[') depth++
    if (text[i] === '}' || text[i] === ')' || text[i] === ']') depth--
    if (depth === 0 && (text[i] === '}' || text[i] === ';')) return i + 1
    if (depth < 0) return i
  }
  return text.length
}

/** The line of a position, from 1. */
export function lineAt(text, position) {
  return text.slice(0, position).split('\n').length
}

function blank(text) {
  return text.replaceAll(/[^\n]/g, ' ')
}
