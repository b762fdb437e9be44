/** The memory map: each shard of the segment with what its space holds. */
import { dataTable, h, panel, setText, svg } from './dom.js'
import { count, plural, share, size } from './format.js'

const PARTS = [
  ['main', 'main queue', 1],
  ['small', 'small queue', 2],
  ['pinned', 'locks and other records', 3],
  ['quotas', 'namespaces with a quota', 6],
  ['free', 'free', 'free'],
  ['untaken', 'not taken from the system', 'none'],
]
const DRAWN = 100

export function memory() {
  const facts = h('dl', { class: 'facts' })
  const map = h('div', { class: 'map', role: 'group', 'aria-label': 'Shards' })
  const legend = h(
    'ul',
    { class: 'legend' },
    PARTS.map(([, label, colour]) => h('li', {}, h('span', { class: `key-${colour}` }), label)),
  )
  const details = h('dl', { class: 'facts', 'aria-live': 'polite' })
  const detailsPanel = panel('Shard 0', {}, details)
  const table = dataTable({
    caption: 'All shards',
    empty: 'No shards.',
    columns: [
      { title: 'Shard', number: true, of: ({ index }) => count(index) },
      { title: 'Used', number: true, of: ({ used }) => size(used) },
      { title: 'Share', number: true, of: ({ used, capacity }) => share(used, capacity) },
      { title: 'Main', number: true, of: ({ main }) => size(main) },
      { title: 'Small', number: true, of: ({ small }) => size(small) },
      { title: 'Pinned', number: true, of: ({ pinned }) => size(pinned) },
      { title: 'Taken', number: true, of: ({ reserved }) => size(reserved) },
      { title: 'Entries', number: true, of: ({ words }) => count(words) },
      { title: 'Repairs', number: true, of: ({ repairs }) => count(repairs) },
    ],
  })
  const tableDetails = h('details', { class: 'panel' }, h('summary', {}, 'All shards as a table'), table.element)
  const mapPanel = panel(
    'Memory map of the shards',
    {
      id: 'map',
      aside: legend,
      note: 'A key belongs to one shard by its hash. Each shard has a lock for writers, an index and space of its own.',
    },
    map,
  )
  const element = h('div', { class: 'stack' }, panel('Memory', {}, facts), mapPanel, detailsPanel, tableDetails)
  let cells = []
  let chosen = 0
  let shards = []

  function choose(index) {
    chosen = index
    describe()
    cells.forEach((cell, i) => mark(cell.element, i === index))
  }

  function mark(cell, isChosen) {
    cell.setAttribute('aria-pressed', String(isChosen))
    cell.tabIndex = isChosen ? 0 : -1
  }

  // One stop of the Tab key; arrows move inside the map.
  map.addEventListener('keydown', (event) => {
    const columns = getComputedStyle(map).gridTemplateColumns.split(' ').length
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }
    const next = event.key === 'Home' ? 0 : event.key === 'End' ? cells.length - 1 : chosen + (steps[event.key] ?? 0)
    if (next === chosen || cells[next] === undefined) return
    event.preventDefault()
    choose(next)
    cells[next].element.focus()
  })

  function describe() {
    const shard = shards[chosen]
    if (shard === undefined) return
    setText(detailsPanel.querySelector('h2'), `Shard ${chosen}`)
    const pairs = [
      ['used', `${size(shard.used)} of ${size(shard.capacity)} (${share(shard.used, shard.capacity)})`],
      ['main queue', size(shard.main)],
      ['small queue', size(shard.small)],
      ['pinned', size(shard.pinned)],
      ['taken', size(shard.reserved)],
      ['entries and records', count(shard.words)],
      ['repairs', count(shard.repairs)],
    ]
    const text = pairs.map(String).join()
    if (details.dataset.text === text) return
    details.dataset.text = text
    details.replaceChildren(...pairs.map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value))))
  }

  function build() {
    cells = shards.map((_, index) => cellOf(index, () => choose(index)))
    const [width, height] = sizeOfCell(shards.length)
    map.style.setProperty('--cell', width)
    map.style.setProperty('--cell-height', height)
    map.replaceChildren(...cells.map((cell) => cell.element))
    choose(Math.min(chosen, shards.length - 1))
  }

  return {
    element,
    update({ info, stats, shards: rows }) {
      shards = rows.map(shardOf)
      if (cells.length !== shards.length) build()
      cells.forEach((cell, i) => cell.update(shards[i]))
      describe()
      if (tableDetails.open) table.update(shards)
      const pairs = [
        ['segment', size(info.size)],
        ['can be had here', size(info.limitBytes)],
        ['taken from the system', size(stats.reservedBytes)],
        ['for entries', size(stats.capacityBytes)],
        ['used', `${size(stats.usedBytes)} (${share(stats.usedBytes, stats.capacityBytes)})`],
        ['largest entry', size(info.maxEntrySize)],
        ['shards', plural(info.shards, 'shard')],
        ['file', info.path],
      ]
      facts.replaceChildren(...pairs.map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value))))
    },
    destroy() {},
  }
}

function sizeOfCell(number) {
  if (number <= 8) return ['136px', '132px']
  return number <= 64 ? ['92px', '84px'] : ['52px', '34px']
}

function shardOf([capacity, reserved, used, small, main, pinned, words, repairs], index) {
  const quotas = Math.max(0, used - small - main - pinned)
  const free = Math.max(0, reserved - used)
  const untaken = Math.max(0, capacity - reserved)
  return { index, capacity, reserved, used, small, main, pinned, words, repairs, quotas, free, untaken }
}

function cellOf(index, onChoose) {
  const rects = PARTS.map(([name, , colour]) => [name, svg('rect', { class: `f-${colour}`, x: 0, width: DRAWN })])
  const drawing = svg(
    'svg',
    { viewBox: `0 0 ${DRAWN} ${DRAWN}`, preserveAspectRatio: 'none', 'aria-hidden': 'true' },
    rects.map(([, rect]) => rect),
  )
  const part = h('span')
  const element = h(
    'button',
    { type: 'button', class: 'cell', onclick: onChoose },
    h('span', { class: 'name' }, h('span', {}, `#${index}`), part),
    drawing,
  )
  return {
    element,
    update(shard) {
      setText(part, share(shard.used, shard.capacity))
      // From the bottom.
      let below = 0
      for (const [name, rect] of rects) {
        const height = (shard[name] / shard.capacity) * DRAWN
        below += height
        rect.setAttribute('y', String(DRAWN - below))
        rect.setAttribute('height', String(height))
      }
    },
  }
}
