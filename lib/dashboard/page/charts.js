/** Line charts over time, by uPlot. Colours come from the styles, so they follow the theme. */
import { h, setText } from './dom.js'

const HEIGHT = 150
/** The steps of an axis of bytes. */
const POWERS_OF_2 = Array.from({ length: 50 }, (_, i) => 2 ** i)
const charts = new Set()

/**
 * A figure with a legend. Its numbers are those under the cursor, or the latest.
 *
 * @param {{ title: string, series: { label: string, colour: number, fill?: boolean }[], format: (value) => string,
 *   max?: number | ((frame) => number) }} options
 */
export function chart({ title, series, format, axisFormat = format, max, isBytes = false }) {
  const values = series.map(() => h('b', {}, '–'))
  const legend = h(
    'ul',
    { class: 'legend' },
    series.map(({ label, colour }, i) => h('li', {}, h('span', { class: `key-${colour}` }), `${label} `, values[i])),
  )
  const place = h('div', { class: 'chart', role: 'img', 'aria-label': title })
  const element = h('figure', { class: 'panel' }, h('figcaption', {}, h('h2', {}, title), legend), place)
  let plot
  let data
  let limit

  function show(index) {
    const at = index ?? data[0].length - 1
    series.forEach((_, i) => setText(values[i], textOf(data[i + 1][at])))
  }

  /** Null: there was nothing at that time. */
  function textOf(value) {
    return value === undefined || value === null ? '–' : format(value)
  }

  function build() {
    plot?.destroy()
    plot = new uPlot(
      optionsOf({ series, axisFormat, isBytes, limit: () => limit, width: place.clientWidth, show }),
      data,
      place,
    )
  }

  const observer = new ResizeObserver(() => {
    if (plot !== undefined && place.clientWidth > 0) plot.setSize({ width: place.clientWidth, height: HEIGHT })
  })
  observer.observe(place)

  const self = {
    element,
    /** `columns`: times in seconds, then one array for each series. */
    update(columns, top = max) {
      data = columns
      limit = top
      if (plot === undefined && place.clientWidth > 0) build()
      else plot?.setData(data)
      if (data[0].length > 0 && !(plot?.cursor.left >= 0)) show()
      const latest = series.map(({ label }, i) => `${label} ${values[i].textContent}`).join(', ')
      place.setAttribute('aria-label', `${title}, latest: ${latest}`)
    },
    redraw() {
      if (plot !== undefined) build()
    },
    destroy() {
      observer.disconnect()
      plot?.destroy()
      charts.delete(self)
    },
  }
  charts.add(self)
  return self
}

/** Draws all charts again, after a change of the theme. */
export function redrawCharts() {
  for (const each of charts) each.redraw()
}

function optionsOf({ series, axisFormat, isBytes, limit, width, show }) {
  const style = getComputedStyle(document.documentElement)
  const colour = (name) => style.getPropertyValue(`--${name}`).trim()
  const axis = { stroke: colour('soft'), font: '11px system-ui', ticks: { show: false } }
  const grid = { stroke: colour('line'), width: 1 }
  return {
    width,
    height: HEIGHT,
    padding: [6, 26, 0, 0],
    legend: { show: false },
    cursor: { drag: { x: false, y: false }, points: { size: 6 } },
    scales: { x: { time: true }, y: { range: (_, _min, top) => [0, limit() ?? Math.max(top * 1.1, 1)] } },
    axes: [
      { ...axis, grid: { show: false }, space: 70, size: 20, gap: 3, values: (_, times) => times.map(clock) },
      {
        ...axis,
        grid,
        size: 58,
        space: 32,
        values: (_, numbers) => numbers.map(axisFormat),
        ...(isBytes && { incrs: POWERS_OF_2 }),
      },
    ],
    series: [
      {},
      ...series.map((line) => ({
        label: line.label,
        stroke: colour(`c${line.colour}`),
        width: 1.5,
        points: { show: false },
        ...(line.fill && { fill: `${colour(`c${line.colour}`)}22` }),
      })),
    ],
    hooks: { setCursor: [({ cursor }) => show(cursor.left >= 0 ? (cursor.idx ?? undefined) : undefined)] },
  }
}

function clock(seconds) {
  return new Date(seconds * 1000).toLocaleTimeString('sv-SE')
}
