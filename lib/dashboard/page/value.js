/** A value as what it is: text, bytes, or a tree. */
import { h } from './dom.js'
import { count, plural } from './format.js'

const TEXT_SHOWN = 2000

/** The element of a value form; see `valueForm` of the server. */
export function valueView(form) {
  return h('div', { class: 'value', tabIndex: 0, role: 'region', 'aria-label': 'Value' }, whole(form))
}

/** What a value is, in a few words. */
export function typeText(form) {
  if (form.bytes !== undefined) return `${form.type}, ${plural(form.size, 'byte')}`
  if (form.items !== undefined) return `${form.type}, ${plural(form.size, 'item')}`
  if (form.entries !== undefined) {
    return `${form.type}, ${form.type === 'Map' ? plural(form.size, 'entry', 'entries') : plural(form.size, 'property', 'properties')}`
  }
  return form.type === 'string' ? `string, ${plural(form.size, 'character')}` : form.type
}

function whole(form) {
  if (form.type === 'string') return h('pre', {}, form.text, missing(form.size - form.text.length, 'character'))
  return part(form, undefined, true)
}

/** `name`: what stands in front, an element. */
function part(form, name, isOpen) {
  if (form.bytes !== undefined) return nested(form, name, isOpen, () => [dump(form)])
  if (form.items !== undefined) return nested(form, name, isOpen, () => [itemsOf(form)])
  if (form.entries !== undefined) return nested(form, name, isOpen, () => [entriesOf(form)])
  return h('span', {}, name, leaf(form))
}

function leaf({ type, text, size }) {
  if (type !== 'string') return h('span', { class: type }, ['Date', 'cycle'].includes(type) ? `${type} ${text}` : text)
  const shown = text.slice(0, TEXT_SHOWN)
  return h('span', { class: 'string' }, JSON.stringify(shown), missing(size - shown.length, 'character'))
}

/** Children are made when they are shown first. */
function nested(form, name, isOpen, make) {
  const isEmpty = form.size === 0
  const element = h(
    'details',
    { open: isOpen && !isEmpty },
    h('summary', {}, name, h('span', { class: 'type' }, typeText(form))),
  )
  let isMade = false
  const fill = () => {
    if (isMade || !element.open) return
    isMade = true
    element.append(...make())
  }
  element.addEventListener('toggle', fill)
  fill()
  return element
}

function itemsOf({ type, size, items }) {
  const nameOf = (i) => (type === 'Set' ? undefined : h('span', { class: 'type' }, `${i}: `))
  return h(
    'ul',
    {},
    items.map((item, i) => h('li', {}, part(item, nameOf(i), size <= 20))),
    left(size - items.length),
  )
}

function entriesOf({ type, size, entries }) {
  return h(
    'ul',
    {},
    entries.map(([key, value]) => h('li', {}, ...entryOf(type, key, value, size <= 20))),
    left(size - entries.length),
  )
}

function entryOf(type, key, value, isOpen) {
  if (type !== 'Map') return [part(value, h('span', { class: 'name' }, `${key.text}: `), isOpen)]
  const isSimple = key.text !== undefined
  const name = isSimple ? h('span', {}, leaf(key), ' → ') : h('span', { class: 'type' }, '→ ')
  return isSimple ? [part(value, name, isOpen)] : [part(key, undefined, false), part(value, name, isOpen)]
}

function left(number) {
  return number > 0 ? h('li', { class: 'type' }, `… and ${count(number)} more`) : undefined
}

function missing(number, noun) {
  return number > 0 ? h('span', { class: 'type' }, ` … and ${plural(number, noun)} more`) : undefined
}

/** Offset, hexadecimal digits, and characters, 16 bytes a line. */
function dump({ bytes, size }) {
  const all = Uint8Array.from(atob(bytes), (character) => character.charCodeAt(0))
  const lines = []
  for (let at = 0; at < all.length; at += 16) {
    const line = [...all.subarray(at, at + 16)]
    const digits = line.map((byte) => byte.toString(16).padStart(2, '0')).join(' ')
    const characters = line.map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : '.')).join('')
    lines.push(`${at.toString(16).padStart(6, '0')}  ${digits.padEnd(47)}  ${characters}`)
  }
  return h('pre', { class: 'bytes' }, lines.join('\n'), missing(size - all.length, 'byte'))
}
