import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { claims, judge } from '../claims.mjs'
import { contenderOf } from '../contenders/index.mjs'
import { bestOf } from '../figures.mjs'
import { markdownTable, short, textTable } from '../format.mjs'
import { renderReadme, withSection } from '../readme.mjs'
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
    settings: [{ label: 'lmdb', settings: 'as it comes' }],
    absent: [{ what: 'memcached', why: 'not installed' }],
    problems: [{ contender: 'lmdb', where: 'here', error: 'it <broke>' }],
    figures,
  }
  return { ...results, claims: judge(results) }
}

test('a speed is ours over theirs, the best client and placement of theirs', (t) => {
  const figures = [
    speedOf('cache-machine-off', 1000),
    speedOf('ioredis', 5),
    speedOf('ioredis', 10, { placement: 'one' }),
    speedOf('node-redis', 8),
    // Of another scene: not to be compared.
    speedOf('node-redis', 900, { scene: 'object-1k' }),
  ]
  const claim = { name: 'c', unit: 'times', ours: { contender: 'cache-machine-off' }, atLeast: 100 }
  const theirs = { workload: 'throughput', scene: 'string-1k', operation: 'get', contender: ['ioredis', 'node-redis'] }
  const [verdict] = judge({ figures }, [{ ...claim, theirs }])
  t.is(verdict.measured, 100)
  t.true(verdict.reached)
  t.like(verdict.theirs, { contender: 'ioredis', placement: 'one' })
  t.false(judge({ figures }, [{ ...claim, theirs, atLeast: 100.1 }])[0].reached)
})

test('where less is better, as many times quicker counts, and a part of their bytes', (t) => {
  const time = { unit: 'µs', better: 'lower' }
  const figures = [
    speedOf('cache-machine-off', 20, time),
    speedOf('ioredis', 100, time),
    speedOf('ioredis', 80, { ...time, placement: 'one' }),
  ]
  const sides = { ours: { contender: 'cache-machine-off' }, theirs: { contender: 'ioredis' } }
  const [quicker] = judge({ figures }, [{ name: 'c', unit: 'times', ...sides, atLeast: 4 }])
  t.is(quicker.measured, 4)
  t.true(quicker.reached)
  const [part] = judge({ figures }, [{ name: 'c', unit: 'part', ...sides, atMost: 0.2 }])
  t.is(part.measured, 0.25)
  t.false(part.reached)
})

test('a claim whose figure is missing is neither reached nor lost', (t) => {
  for (const verdict of judge({ figures: [] })) {
    t.is(verdict.measured, undefined)
    t.is(verdict.reached, undefined)
  }
})

test('hit ratios are compared over all cells, or not at all', (t) => {
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

test('every claim names contenders and scenes that there are', (t) => {
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

test('the best of figures is the highest, or the lowest where less is better', (t) => {
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

test('numbers have three digits that mean something', (t) => {
  t.deepEqual([18_234_567, 38_120, 1_234, 64, 0.123_45, 0].map(short), [
    '18.2 M',
    '38.1 k',
    '1,234',
    '64',
    '0.123',
    '0',
  ])
})

test('tables are as wide as their cells, and markdown keeps its bars', (t) => {
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

test('the terminal and the page show what was measured, what is missing and what failed', (t) => {
  const results = resultsOf([speedOf('cache-machine-copy', 90), speedOf('lru-cache', 100)])
  const text = terminalReport(results)
  for (const part of ['cache-machine, near: copy', 'memcached: not installed', 'it <broke>', '0.9 ×'])
    t.true(text.includes(part), part)

  const page = htmlReport(results, '/* a library of charts </script> */')
  for (const part of ['A &lt;processor&gt;', 'it &lt;broke&gt;', '0.9 ×', 'prefers-color-scheme: dark'])
    t.true(page.includes(part), part)
  t.false(page.includes('charts </script>'), 'the library must not end its own tag')
  t.notRegex(page, /(?:src|href)="?https?:/, 'nothing is fetched')
})

test('a machine that was busy is not passed over in silence', (t) => {
  const results = resultsOf([speedOf('cache-machine-copy', 90)])
  results.machine.busyBefore = 0.5
  t.regex(terminalReport(results), /50 % busy/)
  t.regex(htmlReport(results, ''), /50 % busy/)
})

test('a section takes the place of the old one, and marks that are missing or twice are refused', (t) => {
  const text = 'a\n<!-- bench:begin -->\nold\n<!-- bench:end -->\nb\n'
  t.is(withSection(text, 'new'), 'a\nnew\nb\n')
  t.throws(() => withSection('a', 'new'))
  t.throws(() => withSection(text + text, 'new'))
})

test('the README shows the results that are committed, or that there are none', async (t) => {
  const file = `${root}benches/results/README.json`
  const results = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined
  const readme = readFileSync(`${root}README.md`, 'utf8')
  t.is(await renderReadme(readme, results), readme, 'node benches/readme.mjs mends it')
})
