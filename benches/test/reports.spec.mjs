import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { claims, judge } from '../claims.mjs'
import { contenderOf } from '../contenders/index.mjs'
import { bestOf } from '../figures.mjs'
import { markdownTable, short, textTable, wrap } from '../format.mjs'
import { documents, renderDocument, withSection } from '../readme.mjs'
import { htmlReport } from '../report-html.mjs'
import { terminalReport } from '../report-terminal.mjs'
import { summary } from '../statistics.mjs'
import { tablesOf } from '../tables.mjs'
import { scenes } from '../workloads/throughput.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))

function speedOf(contender, median, more = {}) {
  const place = { workload: 'throughput', scene: 'string-1k', operation: 'get', placement: 'free', processes: 1 }
  return { ...place, contender, unit: 'calls/s', better: 'higher', ...summary([median]), ...more }
}

function hitRatio(contender, scene, percent) {
  const place = { workload: 'hit-ratio', scene, operation: '1000 objects', placement: 'free', processes: 1 }
  return { ...place, contender, unit: '%', better: 'higher', ...summary([percent]) }
}

function resultsOf(figures) {
  const results = {
    date: '2026-01-02T03:04:05.000Z',
    seconds: 600,
    quick: false,
    machine: {
      processor: 'A <processor>',
      processors: 2,
      isVirtual: true,
      memoryGiB: 4,
      system: 'S',
      kernel: 'K',
      node: 'N',
      busyBefore: 0,
    },
    versions: { 'cache-machine': '0.1.0' },
    plan: { rounds: 5, window: 100 },
    settings: [{ label: 'lmdb', settings: 'defaults' }],
    absent: [{ what: 'memcached', why: 'not installed' }],
    problems: [{ contender: 'lmdb', where: 'here', error: 'it <broke>' }],
    figures,
  }
  return { ...results, claims: judge(results) }
}

test('a speed is our figure divided by that of the best client and placement of the rival', (t) => {
  const figures = [
    speedOf('cache-machine-off', 1000),
    speedOf('ioredis', 5),
    speedOf('ioredis', 10, { placement: 'one' }),
    speedOf('node-redis', 8),
    // Another scene, which does not count.
    speedOf('node-redis', 900, { scene: 'object-1k' }),
  ]
  const claim = { what: 'c', against: 'd', unit: 'times', ours: { contender: 'cache-machine-off' }, atLeast: 100 }
  const theirs = { workload: 'throughput', scene: 'string-1k', operation: 'get', contender: ['ioredis', 'node-redis'] }
  const [verdict] = judge({ figures }, [{ ...claim, theirs }])
  t.is(verdict.measured, 100)
  t.true(verdict.reached)
  t.like(verdict.theirs, { contender: 'ioredis', placement: 'one' })
  t.false(judge({ figures }, [{ ...claim, theirs, atLeast: 100.1 }])[0].reached)
})

test('a speed from times is the inverse ratio, and memory is a part of the memory of the rival', (t) => {
  const time = { unit: 'µs', better: 'lower' }
  const figures = [
    speedOf('cache-machine-off', 20, time),
    speedOf('ioredis', 100, time),
    speedOf('ioredis', 80, { ...time, placement: 'one' }),
  ]
  const sides = { ours: { contender: 'cache-machine-off' }, theirs: { contender: 'ioredis' } }
  const [quicker] = judge({ figures }, [{ what: 'c', against: 'd', unit: 'times', ...sides, atLeast: 4 }])
  t.is(quicker.measured, 4)
  t.true(quicker.reached)
  const [part] = judge({ figures }, [{ what: 'c', against: 'd', unit: 'part', ...sides, atMost: 0.2 }])
  t.is(part.measured, 0.25)
  t.false(part.reached)
})

test('a claim without one of its figures is neither reached nor missed', (t) => {
  for (const verdict of judge({ figures: [] })) {
    t.is(verdict.measured, undefined)
    t.is(verdict.reached, undefined)
  }
})

test('hit ratios are compared only if no cell is missing', (t) => {
  const [mean, worst] = claims.slice(-2)
  const figures = [
    hitRatio('reference S3-FIFO', 'a', 50),
    hitRatio('reference S3-FIFO', 'b', 60),
    hitRatio('reference LRU', 'a', 40),
    hitRatio('reference LRU', 'b', 61),
    hitRatio('cache-machine-off', 'a', 51),
  ]
  t.deepEqual(
    judge({ figures }, [mean, worst]).map(({ reached }) => reached),
    [undefined, undefined],
  )
  const whole = { figures: [...figures, hitRatio('cache-machine-off', 'b', 59)] }
  t.deepEqual(
    judge(whole, [mean, worst]).map(({ measured }) => measured),
    [0, -2],
  )
})

test('the contenders and scenes of every claim exist', (t) => {
  for (const { ours, theirs } of claims.filter(({ measure }) => measure === undefined)) {
    for (const { contender, scene, workload } of [ours, theirs]) {
      for (const id of [contender].flat()) t.notThrows(() => contenderOf(id))
      if (workload === 'throughput')
        t.true(
          scenes.some(({ id }) => id === scene),
          scene,
        )
    }
  }
})

test('the best figure is the highest, or the lowest where lower is better', (t) => {
  const figures = [speedOf('a', 1), speedOf('b', 3), speedOf('c', 2)]
  t.is(bestOf({ figures }, {}).contender, 'b')
  const times = figures.map((figure) => ({ ...figure, better: 'lower' }))
  t.is(bestOf({ figures: times }, {}).contender, 'a')
  t.is(bestOf({ figures }, { contender: 'none' }), undefined)
})

test('tables have a row for each contender and placement, in the order of the contenders', (t) => {
  const figures = [
    speedOf('ioredis', 5),
    speedOf('ioredis', 9, { placement: 'one' }),
    speedOf('cache-machine-off', 100),
    speedOf('cache-machine-off', 50, { operation: 'set' }),
  ]
  const [table, ...rest] = tablesOf({ figures })
  t.is(rest.length, 0)
  t.deepEqual(table.columns, ['get', 'set'])
  t.deepEqual(
    table.rows.map(({ label, cells }) => [label, ...cells.map((figure) => figure?.median)]),
    [
      ['cache-machine, near: false', 100, 50],
      ['Redis, ioredis [idle]', 5, undefined],
      ['Redis, ioredis [one CPU]', 9, undefined],
    ],
  )
})

test('numbers have three significant digits', (t) => {
  t.deepEqual([18_234_567, 38_120, 1_234, 64, 0.123_45, 0].map(short), [
    '18.2 M',
    '38.1 k',
    '1,234',
    '64',
    '0.123',
    '0',
  ])
})

test('columns are as wide as their cells, and Markdown cells escape their bars', (t) => {
  t.is(
    textTable([
      ['a', 'bb'],
      ['ccc', 'd'],
    ]),
    'a     bb\nccc    d',
  )
  t.is(
    markdownTable([
      ['a', 'b'],
      ['c|d', 'e'],
    ]),
    '| a | b |\n| --- | ---: |\n| c\\|d | e |',
  )
})

test('the terminal and the page show figures, missing parts and failures', (t) => {
  const results = resultsOf([speedOf('cache-machine-copy', 90), speedOf('lru-cache', 100)])
  const text = terminalReport(results)
  for (const part of ['cache-machine, near: copy', 'memcached: not installed', 'it <broke>', '0.9 ×'])
    t.true(text.includes(part), part)

  const page = htmlReport(results, '/* a library of charts </script> */')
  for (const part of ['A &lt;processor&gt;', 'it &lt;broke&gt;', '0.9 ×', 'prefers-color-scheme: dark'])
    t.true(page.includes(part), part)
  t.false(page.includes('charts </script>'), 'the library must not end its script element')
  t.notRegex(page, /(?:src|href)="?https?:/, 'the page loads nothing')
})

test('the reports have a caution for a busy machine', (t) => {
  const results = resultsOf([speedOf('cache-machine-copy', 90)])
  results.machine.busyBefore = 0.5
  t.regex(terminalReport(results), /took 50 % of the processors/)
  t.regex(htmlReport(results, ''), /took 50 % of the processors/)
})

test('a section replaces the old one, and missing or repeated markers are refused', (t) => {
  const text = 'a\n<!-- bench:begin -->\nold\n<!-- bench:end -->\nb\n'
  t.is(withSection(text, 'new'), 'a\nnew\nb\n')
  t.throws(() => withSection('a', 'new'))
  t.throws(() => withSection(text + text, 'new'))
})

test('a paragraph wraps at 120 columns and loses nothing', (t) => {
  const text = Array.from({ length: 100 }, (_, i) => 'x'.repeat(i % 12) + i).join(' ')
  const wrapped = wrap(text)
  t.is(wrapped.replaceAll('\n', ' '), text)
  t.true(wrapped.split('\n').every((line) => line.length <= 120))
})

const titles = {
  readme: 'the README shows the committed results, or that there are none',
  performance: 'docs/performance.md shows the committed results, or that there are none',
}

for (const [name, document] of Object.entries(documents)) {
  test(titles[name], async (t) => {
    const file = `${root}benches/results/README.json`
    const results = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined
    const text = readFileSync(document.file, 'utf8')
    t.is(await renderDocument(document, text, results), text, 'node benches/readme.mjs updates it')
    const [, section] = text.split(/<!-- bench:(?:begin|end) -->/)
    t.true(
      section.split('\n').every((line) => line.length <= 120),
      'lines have at most 120 columns',
    )
  })
}
