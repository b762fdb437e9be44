/**
 * Markdown: no line is longer than 120 columns, table rows included, and no relative link leads nowhere. Two tests.
 *
 *   node scripts/verify/markdown.mjs
 *
 * Not measured: fenced code blocks, and lines that only have a link. A link must lead to a committed file or folder; an
 * anchor must be a heading, or the `id` of an element.
 */
import { posix } from 'node:path'
import { isMain, readText } from '../setup.mjs'
import { committedFiles } from './files.mjs'
import { add, judge, report } from './outcomes.mjs'

const MAX_COLUMNS = 120
const LINK =
  /!?\[(?:[^[\]]|\[[^\]]*\])*\]\(\s*<?([^)\s>]+)>?(?:\s+"[^"]*")?\s*\)|^ {0,3}\[[^\]]+\]:\s*<?(\S+?)>?(?:\s|$)/g
const ONLY_A_LINK = /^\s*(?:[-*] )?(?:\[[^\]]*\]: ?)?(?:!?\[[^\]]*\]\(\S+\)|<?https?:\S+?>?)[.,]?$/

export function checkMarkdown() {
  const pages = committedFiles().filter((path) => path.endsWith('.md'))
  return add(
    judge(`Markdown lines of more than ${MAX_COLUMNS} columns`, pages.flatMap(findLongLines)),
    judge('Broken links in Markdown', pages.flatMap(findBrokenLinks)),
  )
}

function findLongLines(path) {
  return linesOf(path)
    .filter(({ text, isCode }) => !isCode && [...text].length > MAX_COLUMNS && !ONLY_A_LINK.test(text))
    .map(({ text, number }) => `${path}:${number}: ${[...text].length} columns`)
}

function findBrokenLinks(path) {
  return linesOf(path)
    .filter(({ isCode }) => !isCode)
    .flatMap(({ text, number }) => linksOf(text).map((link) => ({ link, problem: problemOf(path, link), number })))
    .filter(({ problem }) => problem !== undefined)
    .map(({ link, problem, number }) => `${path}:${number}: ${link}: ${problem}`)
}

function linksOf(text) {
  const withoutCode = text.replaceAll(/(`+)(?:(?!\1).)+\1/g, (code) => ' '.repeat(code.length))
  const links = [...withoutCode.matchAll(LINK)].map(([, inline, reference]) => inline ?? reference)
  return links.filter((link) => !/^[a-z][a-z+.-]*:/i.test(link))
}

function problemOf(page, link) {
  const [file, anchor] = decodeURI(link).split('#')
  if (file.startsWith('/')) return 'the path is absolute'
  const path = file === '' ? page : posix.normalize(posix.join(posix.dirname(page), file)).replace(/\/$/, '')
  const isThere = path === '.' || committedFiles().some((other) => other === path || other.startsWith(`${path}/`))
  if (!isThere) return 'there is no such file'
  if (anchor === undefined || anchor === '' || !path.endsWith('.md')) return undefined
  return anchorsOf(path).has(anchor) ? undefined : 'there is no such heading'
}

const anchors = new Map()

/** The anchors of a page, as GitHub makes them. */
function anchorsOf(path) {
  const known = anchors.get(path)
  if (known !== undefined) return known
  const found = new Set()
  for (const { text, isCode } of linesOf(path)) {
    if (isCode) continue
    for (const [, id] of text.matchAll(/<\w+[^>]*\b(?:id|name)="([^"]+)"/g)) found.add(id)
    const [, heading] = /^#{1,6}\s+(.+?)\s*#*$/.exec(text) ?? []
    if (heading === undefined) continue
    const slug = slugOf(heading)
    let unique = slug
    for (let count = 1; found.has(unique); count++) unique = `${slug}-${count}`
    found.add(unique)
  }
  anchors.set(path, found)
  return found
}

function slugOf(heading) {
  return heading
    .replaceAll(/!?\[([^\]]*)\]\([^)]*\)/g, '$1')
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{M}\p{N}\p{Pc}\- ]/gu, '')
    .replaceAll(' ', '-')
}

const pagesRead = new Map()

/** The lines of a page: `{ text, number, isCode }`. */
function linesOf(path) {
  const known = pagesRead.get(path)
  if (known !== undefined) return known
  let fence
  const lines = readText(path)
    .split('\n')
    .map((text, index) => {
      const [, mark] = /^\s*(`{3,}|~{3,})/.exec(text) ?? []
      const isFence =
        mark !== undefined && (fence === undefined || (mark[0] === fence[0] && mark.length >= fence.length))
      if (isFence) fence = fence === undefined ? mark : undefined
      return { text, number: index + 1, isCode: isFence || fence !== undefined }
    })
  pagesRead.set(path, lines)
  return lines
}

if (isMain(import.meta.url)) report(checkMarkdown())
