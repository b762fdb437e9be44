/** The page: which section is shown, and the live data that it shows. */
import { get, live } from './api.js'
import { redrawCharts } from './charts.js'
import { setText } from './dom.js'
import { keys } from './keys.js'
import { latency } from './latency.js'
import { locks } from './locks.js'
import { memory } from './memory.js'
import { namespaces } from './namespaces.js'
import { overview } from './overview.js'
import { processes } from './processes.js'
import { segmentList } from './segments.js'
import { tags } from './tags.js'

const SECTIONS = { overview, latency, memory, keys, namespaces, tags, processes, locks }
const MAX_POINTS = 600
const find = (selector) => document.querySelector(selector)

const app = {
  segment: '',
  /** The version of the application with the keys that are shown first; '': the key space without one. */
  appVersion: '',
  canWrite: false,
  /** Shows the value of a key. */
  openKey(key) {
    location.hash = '/keys'
    show('keys')
    view.open(key)
    find('#entry').scrollIntoView({ block: 'nearest' })
  },
  /** Shows the keys of a namespace. */
  browse(namespace) {
    location.hash = '/keys'
    show('keys')
    view.browse(namespace)
  },
}

let name
let view
let frame
let points = []
let isPaused = false

/** Replaces the section, unless it is shown already. */
function show(section) {
  if (section === name) return
  view?.destroy()
  name = section
  view = SECTIONS[section](app)
  find('#view').replaceChildren(view.element)
  for (const link of document.querySelectorAll('#sections a')) {
    if (link.hash === `#/${section}`) {
      link.setAttribute('aria-current', 'page')
      reveal(link)
    } else link.removeAttribute('aria-current')
  }
  if (frame !== undefined) view.update(frame, points)
}

/** Scrolls the bar of sections to a link, and leaves the place of the Tab key alone. */
function reveal(link) {
  const bar = find('#sections')
  const isVisible =
    link.offsetLeft >= bar.scrollLeft && link.offsetLeft + link.offsetWidth <= bar.scrollLeft + bar.clientWidth
  if (!isVisible) bar.scrollLeft = link.offsetLeft - 24
}

function sectionOfHash() {
  const section = location.hash.slice(2)
  return Object.hasOwn(SECTIONS, section) ? section : undefined
}

function take(next) {
  frame = next
  const { time, rates, stats } = next
  const { hits, misses, sets, deletes, evictions, expirations } = rates
  points = [...points, [time, hits, misses, sets, deletes, evictions, expirations, stats.usedBytes]].slice(-MAX_POINTS)
  if (!isPaused) draw()
}

function draw() {
  const { verdict, text } = frame.health
  pill('#health', { ok: 'good', warning: 'warn', problem: 'bad' }[verdict], `Health: ${text}`)
  view.update(frame, points)
}

function pill(selector, look, text) {
  const element = find(selector)
  element.hidden = false
  element.className = `pill ${look}`
  setText(element, text)
}

function complain(text) {
  const notice = find('#trouble')
  notice.hidden = text === ''
  setText(notice, text)
}

function watch() {
  live(app.segment, {
    history(known) {
      points = known
    },
    frame(next) {
      complain('')
      if (!isPaused) pill('#connection', 'good', 'Live')
      take(next)
    },
    trouble({ message, hint }) {
      pill('#connection', 'bad', 'No data')
      complain([message, hint].filter(Boolean).join('. '))
    },
    connection(state) {
      if (state === 'lost') pill('#connection', 'warn', 'Connecting again')
    },
  })
}

function setUpPause() {
  const button = find('#pause')
  button.hidden = false
  button.addEventListener('click', () => {
    isPaused = !isPaused
    button.setAttribute('aria-pressed', String(isPaused))
    pill('#connection', isPaused ? 'warn' : 'good', isPaused ? 'Paused' : 'Live')
    if (!isPaused && frame !== undefined) draw()
  })
}

const THEMES = ['system', 'light', 'dark']

function setUpTheme() {
  const button = find('#theme')
  const present = () => document.documentElement.dataset.theme ?? 'system'
  const say = () => setText(button, `Theme: ${present()}`)
  say()
  button.addEventListener('click', () => {
    const next = THEMES[(THEMES.indexOf(present()) + 1) % THEMES.length]
    if (next === 'system') delete document.documentElement.dataset.theme
    else document.documentElement.dataset.theme = next
    try {
      localStorage.setItem('cache-machine-theme', next)
    } catch {
      // Storage is forbidden: the choice is for this page only.
    }
    say()
    redrawCharts()
  })
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redrawCharts)
}

async function start() {
  setUpTheme()
  const { only, write, appVersion, segments } = await get('segments')
  const asked = new URLSearchParams(location.search).get('segment')
  app.segment = only ?? asked ?? ''
  app.canWrite = write
  app.appVersion = appVersion
  if (app.segment === '') {
    find('#connection').hidden = true
    find('#view').replaceChildren(segmentList(segments))
    return
  }
  document.title = `${app.segment} – cache-machine`
  setText(find('#title'), app.segment)
  find('#all-segments').hidden = only !== null
  find('#sections').hidden = false
  pill('#access', write ? 'warn' : '', write ? 'Changes allowed' : 'Read-only')
  setUpPause()
  addEventListener('hashchange', () => show(sectionOfHash() ?? name))
  show(sectionOfHash() ?? 'overview')
  watch()
}

start().catch((error) => {
  pill('#connection', 'bad', 'No data')
  complain(error.message)
})
