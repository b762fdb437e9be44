/**
 * Elements. Everything from a segment becomes text by `textContent`, never markup.
 */

/** An element with properties and children; text becomes a text node. Properties with a dash are attributes. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(properties)) setProperty(element, name, value)
  element.append(...children.flat().filter((child) => child !== undefined && child !== null))
  return element
}

/** An element of SVG. */
export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag)
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value)
  element.append(...children.flat())
  return element
}

function setProperty(element, name, value) {
  if (value === undefined || value === false) return
  if (name === 'class') element.className = value
  else if (name.startsWith('on')) element.addEventListener(name.slice(2), value)
  else if (name.includes('-') || name === 'role' || name === 'for' || name === 'scope' || name === 'list')
    element.setAttribute(name, value)
  else element[name] = value
}

/** Sets the text if it is another. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text
}

/** A panel with a heading. `note`: an explanation below it. */
export function panel(title, { note, aside, id } = {}, ...children) {
  return h(
    'section',
    { class: 'panel', id },
    h('header', {}, h('h2', {}, title), aside),
    ...children,
    note === undefined ? undefined : h('p', { class: 'note' }, note),
  )
}

/**
 * A table that uses its rows again, so that the focus stays where it is when the data changes.
 *
 * @param {{ caption: string, empty: string, columns: { title: string, number?: boolean, of: (row) => unknown }[] }} options
 *   `of`: a text, an element, or `{ text, run, class }` for a button that calls `run(row)`.
 */
export function dataTable({ caption, empty, columns, hideCaption = true }) {
  const body = h('tbody')
  const head = columns.map(({ title, number }) => h('th', { scope: 'col', class: number ? 'num' : '' }, title))
  const table = h('table', { 'aria-label': hideCaption ? caption : undefined }, h('thead', {}, h('tr', {}, head)), body)
  if (!hideCaption) table.prepend(h('caption', {}, caption))
  const nothing = h('p', { class: 'empty' }, empty)
  // A region that scrolls must be reachable by the keyboard.
  const region = h('div', { class: 'scroll', role: 'region', 'aria-label': caption, tabIndex: 0 }, table)
  const element = h('div', {}, region, nothing)
  let shown = []

  function update(rows) {
    nothing.hidden = rows.length > 0
    region.hidden = rows.length === 0
    while (body.rows.length > rows.length) body.lastElementChild.remove()
    shown = rows
    rows.forEach((row, i) => {
      const line = body.rows[i] ?? addLine(i)
      columns.forEach(({ of }, j) => fill(line.cells[j], of(row), i))
    })
  }

  function addLine() {
    const line = h(
      'tr',
      {},
      columns.map(({ number }) => h('td', { class: number ? 'num' : '' })),
    )
    body.append(line)
    return line
  }

  function fill(cell, content, i) {
    if (content instanceof Node) cell.replaceChildren(content)
    else if (typeof content === 'object' && content !== null) fillButton(cell, content, i)
    else setText(cell, String(content ?? ''))
  }

  function fillButton(cell, { text, run, class: name = '' }, i) {
    let button = cell.querySelector(':scope > button')
    if (button === null) {
      button = h('button', { type: 'button', class: `link ${name}`, onclick: () => run(shown[i]) })
      cell.replaceChildren(button)
    }
    setText(button, text)
  }

  return { element, update, isBusy: () => element.matches(':hover') || element.contains(document.activeElement) }
}

/** Asks before something is deleted. Resolves to whether it is to be done. */
export function confirmed(title, text, action) {
  const dialog = document.querySelector('#confirm')
  document.querySelector('#confirm-title').textContent = title
  document.querySelector('#confirm-text').textContent = text
  document.querySelector('#confirm-ok').textContent = action
  dialog.returnValue = 'cancel'
  dialog.showModal()
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => resolve(dialog.returnValue === 'ok'), { once: true })
  })
}
