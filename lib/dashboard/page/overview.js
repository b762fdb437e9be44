/** Rates, hit ratio and memory over time. */
import { chart } from './charts.js'
import { dataTable, h, panel, setText } from './dom.js'
import { count, keyText, rate, share, shortRate, size } from './format.js'

/** Positions in a point of the history. */
const [TIME, HITS, MISSES, SETS, DELETES, EVICTIONS, EXPIRATIONS, USED] = Array.from({ length: 8 }, (_, i) => i)

export function overview(app) {
  const tiles = tilesOf(['Reads', 'Hit ratio', 'Writes', 'Entries', 'Memory', 'Processes'])
  const charts = {
    reads: chart({
      title: 'Reads',
      format: rate,
      axisFormat: shortRate,
      series: [
        { label: 'hits', colour: 1, fill: true },
        { label: 'misses', colour: 2 },
      ],
    }),
    ratio: chart({
      title: 'Hit ratio',
      format: (part) => `${Number(part.toFixed(1))} %`,
      max: 100,
      series: [{ label: 'of all reads', colour: 1, fill: true }],
    }),
    writes: chart({
      title: 'Writes',
      format: rate,
      axisFormat: shortRate,
      series: [
        { label: 'sets', colour: 3, fill: true },
        { label: 'deletes', colour: 4 },
      ],
    }),
    leaving: chart({
      title: 'Leaving',
      format: rate,
      axisFormat: shortRate,
      series: [
        { label: 'evictions', colour: 5 },
        { label: 'expirations', colour: 2 },
      ],
    }),
    memory: chart({
      title: 'Memory of entries',
      format: size,
      isBytes: true,
      series: [{ label: 'used', colour: 1, fill: true }],
    }),
  }
  const hot = dataTable({
    caption: 'Hottest keys',
    empty: 'No samples yet: processes sample one of 1,024 calls while a page is open.',
    columns: [
      { title: 'Key', of: (key) => ({ text: keyText(key), class: 'mono', run: (row) => app.openKey(row) }) },
      { title: 'Namespace', of: ({ namespace }) => namespace || '–' },
      { title: 'Reads', number: true, of: ({ reads }) => rate(reads) },
      { title: 'Writes', number: true, of: ({ writes }) => (writes > 0 ? rate(writes) : '–') },
    ],
  })
  const hotPanel = panel('Hottest keys', { id: 'hottest' }, hot.element)
  const { reads, ratio, writes, leaving, memory } = charts
  const figures = [reads, ratio, writes, leaving, memory].map(({ element }) => element)
  const element = h('div', { class: 'stack' }, tiles.element, h('div', { class: 'columns' }, figures, hotPanel))

  return {
    element,
    update({ stats, rates, processes, samples, info }, points) {
      const all = rates.hits + rates.misses
      tiles.set('Reads', rate(all), `${count(stats.hits + stats.misses)} ever`)
      tiles.set('Hit ratio', share(rates.hits, all), `${share(stats.hits, stats.hits + stats.misses)} ever`)
      tiles.set('Writes', rate(rates.sets), `${rate(rates.deletes)} deletes`)
      tiles.set(
        'Entries',
        count(stats.entries),
        info.eviction === 'none' ? 'no eviction' : `eviction: ${info.eviction}`,
      )
      const used = share(stats.usedBytes, stats.capacityBytes)
      tiles.set('Memory', used, `${size(stats.usedBytes)} of ${size(stats.capacityBytes)}`)
      const suspended = processes.filter(({ state }) => state === 'suspended').length
      tiles.set(
        'Processes',
        count(processes.length),
        suspended > 0 ? `${suspended} suspended` : 'attached, this page included',
      )
      if (!hot.isBusy()) hot.update(samples.hottest.slice(0, 6))

      const column = (at) => points.map((point) => point[at])
      const times = column(TIME).map((time) => time / 1000)
      reads.update([times, column(HITS), column(MISSES)])
      writes.update([times, column(SETS), column(DELETES)])
      leaving.update([times, column(EVICTIONS), column(EXPIRATIONS)])
      memory.update([times, column(USED)], stats.capacityBytes)
      const ratios = points.map((point) =>
        point[HITS] + point[MISSES] > 0 ? (100 * point[HITS]) / (point[HITS] + point[MISSES]) : null,
      )
      ratio.update([times, ratios])
    },
    destroy() {
      for (const each of Object.values(charts)) each.destroy()
    },
  }
}

function tilesOf(names) {
  const tiles = new Map(
    names.map((name) => {
      const [value, sub] = [h('span', {}, '–'), h('div', { class: 'sub' })]
      return [name, { value, sub, element: h('div', { class: 'tile' }, h('dt', {}, name), h('dd', {}, value, sub)) }]
    }),
  )
  return {
    element: h(
      'dl',
      { class: 'tiles' },
      [...tiles.values()].map((tile) => tile.element),
    ),
    set(name, value, sub) {
      setText(tiles.get(name).value, value)
      setText(tiles.get(name).sub, sub)
    },
  }
}
