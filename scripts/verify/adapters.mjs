/**
 * Adapters: each has its suite, a guide and a row in README. Each of its hosts is an optional peer dependency at any
 * version, has its versions in docs/hosts.md, and is installed here at one version, or in projects of __test__/tools.
 */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { readJson, readText, root } from '../setup.mjs'
import { adapters } from '../setup/entries.mjs'
import { judge } from './outcomes.mjs'

/** Adapters that keep no values of their host, so that no suite of stores applies. Their specs run the host. */
const withoutStore = ['socket-io', 'prometheus', 'opentelemetry']

/** Hosts that are too large for a development dependency, and the projects that have them. */
const inProjects = { next: ['next-15', 'next-16'] }

export function checkAdapters() {
  return judge('Adapters without one of their parts', [...adapters().flatMap(gapsOf), ...peerGaps()])
}

function gapsOf(name) {
  const specs = filesBelow('__test__/adapters', /\.spec\.ts$/)
  const guides = filesBelow('docs/guides', /\.md$/)
  const suites = [`adapterSuite('${name}',`, `limitSuite('${name}')`]
  const runsSuite =
    withoutStore.includes(name) || specs.some((path) => suites.some((call) => readText(path).includes(call)))
  const isEntry = (text) => text.includes(`cache-machine/${name}'`) || text.includes(`cache-machine/${name}\``)
  return [
    ...(runsSuite ? [] : [`${name}: no spec runs adapterSuite('${name}', …) or limitSuite('${name}')`]),
    ...(guides.some((path) => isEntry(readText(path))) ? [] : [`${name}: no guide imports cache-machine/${name}`]),
    ...(readText('README.md').includes(`\`/${name}\``) ? [] : [`${name}: README.md has no row with \`/${name}\``]),
  ]
}

function peerGaps() {
  const { peerDependencies = {}, peerDependenciesMeta = {}, devDependencies } = readJson('package.json')
  const versions = readText('docs/hosts.md').split('\n## Versions\n')[1] ?? ''
  return Object.entries(peerDependencies).flatMap(([name, range]) => [
    // npm enforces a range where a project has the host, also one without the adapter.
    ...(range === '*' ? [] : [`${name} is a peer dependency with the range ${range} and not *`]),
    ...(versions.includes(`| \`${name}\` `) ? [] : [`${name} has no row in the versions of docs/hosts.md`]),
    ...(peerDependenciesMeta[name]?.optional === true ? [] : [`${name} is a peer dependency that is not optional`]),
    ...(versionsOf(name, devDependencies).every((version) => /^\d/.test(version ?? ''))
      ? []
      : [`${name} is no development dependency at one version`]),
  ])
}

function versionsOf(name, devDependencies) {
  const projects = inProjects[name]
  if (projects === undefined) return [devDependencies[name]]
  return projects.map((project) => readJson(`__test__/tools/projects/${project}/package.json`).dependencies[name])
}

function filesBelow(folder, pattern) {
  const names = readdirSync(join(root, folder), { recursive: true })
  return names.filter((name) => pattern.test(name)).map((name) => join(folder, name))
}
