/** How long calls take: a histogram for each kind of call, and the waits for locks of shards. */
import { h, panel, setText, svg } from './dom.js'
import { count, plural, rate, shortTime } from './format.js'

const KINDS = [
  ['near', 'Hits of the near cache', 'get found a copy in its own thread'],
  ['hit', 'Hits in the segment', 'get found the entry in shared memory'],
  ['miss', 'Misses', 'get found none'],
  ['set', 'Writes', 'set, with the encoding of the value'],
]
/** Four classes double the time, from 16 ns on. */
const [FIRST, PER_DOUBLE] = [16e-6, 4]
const [FROM, TO] = [FIRST, 16]
const [WIDTH, HEIGHT, FOOT] = [560, 92, 16]

export function latency() {
  const figures = new Map(KINDS.map(([kind, title, what]) => [kind, histogram(title, what)]))
  const locks = histogram(
    'Waits for the lock of a shard',
    'writes that waited for another write, since the segment was made',
  )
  const seconds = h('span', { class: 'note' })
  const element = h(
    'div',
    { class: 'stack' },
    h(
      'p',
      { class: 'note' },
      'Each process measures one of 1,024 calls while a page is open, so that a call costs nothing otherwise. A measured ' +
        'call takes a slower path than the others. The time axis is logarithmic; the dashed lines are the median and the ' +
        '99th percentile. ',
      seconds,
    ),
    h(
      'div',
      { class: 'columns' },
      [...figures.values()].map((figure) => figure.element),
      locks.element,
    ),
  )
  return {
    element,
    update({ samples, stats }) {
      setText(seconds, `The numbers are those of the last ${Math.round(samples.seconds)} seconds.`)
      for (const [kind, figure] of figures) {
        const { rate: calls, samples: number, p50, p99, max, classes } = samples.calls[kind]
        figure.update(
          classes,
          [p50, p99],
          [
            ['about', rate(calls)],
            ['median', shortTime(p50)],
            ['99 %', shortTime(p99)],
            ['longest', shortTime(max)],
            ['samples', count(number)],
          ],
        )
      }
      const waits = stats.lockWaitTimes.map(({ below, count: number }) => [(below ?? 16_384) / 2, number])
      const total = waits.reduce((sum, [, number]) => sum + number, 0)
      locks.update(
        waits.filter(([, number]) => number > 0),
        [],
        [
          ['waits', count(total)],
          ['in all', shortTime(stats.lockWaitTotal)],
          ['slept', plural(stats.lockWaits, 'time')],
          ['ended in ERR_BUSY', count(stats.busy)],
        ],
        1,
      )
    },
    destroy() {},
  }
}

function histogram(title, what) {
  const facts = h('dl', { class: 'facts' })
  const bars = svg('g', { class: 'bars' })
  const lines = svg('g', { class: 'mark-line' })
  const drawing = svg(
    'svg',
    { class: 'histogram', viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img' },
    axis(),
    bars,
    lines,
  )
  drawing.setAttribute('aria-label', `${title}: no samples yet`)
  const labels = h(
    'div',
    { class: 'ticks', 'aria-hidden': 'true' },
    TICKS.map(([time, label]) => tick(time, label)),
  )
  const empty = h('p', { class: 'empty' }, 'No samples yet.')
  return {
    element: panel(title, { note: what }, facts, drawing, labels, empty),
    /** `classes`: lower limits in milliseconds, and numbers. */
    update(classes, marks, pairs, perDouble = PER_DOUBLE) {
      empty.hidden = classes.length > 0
      drawing.toggleAttribute('hidden', classes.length === 0)
      labels.hidden = classes.length === 0
      facts.replaceChildren(...pairs.map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value))))
      const highest = Math.max(1, ...classes.map(([, number]) => number))
      bars.replaceChildren(...classes.map(([from, number]) => bar(from, number / highest, perDouble)))
      lines.replaceChildren(
        ...marks
          .filter(Number.isFinite)
          .map((time) => svg('line', { x1: xOf(time), x2: xOf(time), y1: 0, y2: HEIGHT - 2 })),
      )
      drawing.setAttribute('aria-label', `${title}: ${pairs.map((pair) => pair.join(' ')).join(', ')}`)
    },
  }
}

function bar(from, part, perDouble) {
  const [left, right] = [xOf(from), xOf(from * 2 ** (1 / perDouble))]
  const height = Math.max(part * (HEIGHT - FOOT), 1.5)
  return svg('rect', { x: left, y: HEIGHT - 2 - height, width: Math.max(right - left - 1, 1), height })
}

function xOf(time) {
  const position = Math.log2(Math.max(time, FROM) / FROM) / Math.log2(TO / FROM)
  return Math.round(Math.min(position, 1) * WIDTH * 10) / 10
}

const TICKS = [
  [1e-4, '100 ns'],
  [1e-3, '1 µs'],
  [1e-2, '10 µs'],
  [0.1, '100 µs'],
  [1, '1 ms'],
  [10, '10 ms'],
]

function tick(time, label) {
  const element = h('span', {}, label)
  element.style.left = `${(100 * xOf(time)) / WIDTH}%`
  return element
}

function axis() {
  return svg(
    'g',
    { class: 'grid' },
    TICKS.map(([time]) => svg('line', { x1: xOf(time), x2: xOf(time), y1: 0, y2: HEIGHT - 2 })),
    [svg('line', { x1: 0, x2: WIDTH, y1: HEIGHT - 2, y2: HEIGHT - 2 })],
  )
}
