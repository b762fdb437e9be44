/**
 * The dashboard for Grafana asks for metrics and labels that the text for Prometheus has, and its panels do not overlap.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { readExposition } from '../helpers/exposition.ts'
import { root } from '../helpers/internals.ts'
import { openCache } from '../helpers/segment.ts'

interface Panel {
  readonly id: number
  readonly title: string
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number }
  readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[]
}

const { panels, templating } = JSON.parse(readFileSync(join(root, 'docs/grafana/cache-machine.json'), 'utf8')) as {
  panels: Panel[]
  templating: { list: { name: string; definition?: string }[] }
}
const targets = panels.flatMap((panel) => (panel.targets ?? []).map((target) => ({ panel, ...target })))

test('each expression asks for metrics and labels that are there', (t) => {
  const cache = openCache(t)
  cache.namespace('sessions', { size: '1mb' }).set('a', 1)
  const metrics = readExposition(cache.metrics().prometheus({ namespaces: true }))
  const series = new Set([...metrics.values()].flatMap(({ samples }) => [...samples.keys()]))
  const names = new Set([...series].map((key) => key.replace(/\{.*/s, '')))
  const labels = new Set([...series].flatMap((key) => [...key.matchAll(/[{,](\w+)="/g)].map(([, label]) => label)))
  t.true(targets.length > 10)
  for (const { panel, expr, legendFormat } of targets) {
    const asked = [...expr.matchAll(/\b(cache_machine_\w+)\{([^}]*)\}/g)]
    t.true(asked.length > 0, panel.title)
    for (const [, name = '', matchers = ''] of asked) {
      t.true(names.has(name), `${panel.title}: ${name}`)
      for (const [, label] of matchers.matchAll(/(\w+)[=!]/g)) t.true(labels.has(label), `${panel.title}: ${label}`)
    }
    // A label of the legend must survive the aggregation.
    const kept = [...expr.matchAll(/by \(([^)]*)\)/g)].flatMap(([, list = '']) => list.split(', '))
    for (const [, label = ''] of legendFormat.matchAll(/\{\{(\w+)\}\}/g)) t.true(kept.includes(label), panel.title)
  }
  const asked = new Set(targets.flatMap(({ expr }) => [...expr.matchAll(/\bcache_machine_\w+/g)].map(([name]) => name)))
  const histogram = /^cache_machine_lock_wait_seconds/
  t.deepEqual(
    [...names].filter((name) => !asked.has(name) && !histogram.test(name)),
    [],
    'metrics that no panel shows',
  )
  const variables = templating.list.map(({ name }) => name)
  t.deepEqual(variables, ['datasource', 'cache'])
  t.true(names.has(/label_values\((\w+), cache\)/.exec(templating.list[1]?.definition ?? '')?.[1] ?? ''))
})

test('panels have ids of their own and do not overlap', (t) => {
  t.is(new Set(panels.map(({ id }) => id)).size, panels.length)
  for (const [i, { title, gridPos: one }] of panels.entries()) {
    t.true(one.x + one.w <= 24, title)
    for (const { title: other, gridPos: two } of panels.slice(i + 1)) {
      const apart = one.x + one.w <= two.x || two.x + two.w <= one.x || one.y + one.h <= two.y || two.y + two.h <= one.y
      t.true(apart, `${title} and ${other}`)
    }
  }
})
