/** Hottest keys, largest keys, and a browser over all keys, beside the entry that is chosen. */
import { get } from './api.js'
import { dataTable, h, setText } from './dom.js'
import { entryPanel } from './entry.js'
import { keyText, plural, rate, size, span } from './format.js'

export function keys(app, { tagged = false } = {}) {
  const entry = entryPanel(app)
  const open = ({ namespace, appVersion, text, hex }) => void entry.show({ namespace, appVersion, text, hex })
  const search = searchPanel(app, open, tagged)
  const views = tagged ? [search] : [hottestPanel(open), largestPanel(open), search]
  const list = tagged ? search.element : tabs(views)
  const element = h('div', { class: 'browser' }, list, entry.element)
  return {
    element,
    open,
    update(frame) {
      for (const view of views) view.update(frame)
    },
    destroy() {},
    /** Searches in a namespace. */
    browse(namespace) {
      list.choose?.(views.indexOf(search))
      search.searchIn(namespace)
    },
  }
}

function tabs(views) {
  const buttons = views.map(({ title }, i) =>
    h(
      'button',
      { type: 'button', role: 'tab', id: `tab-${i}`, 'aria-controls': `list-${i}`, onclick: () => choose(i) },
      title,
    ),
  )
  const panels = views.map((view, i) =>
    h('div', { id: `list-${i}`, role: 'tabpanel', 'aria-labelledby': `tab-${i}` }, view.element),
  )
  const bar = h('div', { class: 'tabs', role: 'tablist', 'aria-label': 'Lists of keys' }, buttons)
  bar.addEventListener('keydown', ({ key }) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[key]
    if (step === undefined) return
    const next = (buttons.findIndex((button) => button.tabIndex === 0) + step + buttons.length) % buttons.length
    choose(next)
    buttons[next].focus()
  })
  function choose(index) {
    buttons.forEach((button, i) => {
      button.setAttribute('aria-selected', String(i === index))
      button.tabIndex = i === index ? 0 : -1
      panels[i].hidden = i !== index
    })
  }
  choose(0)
  return Object.assign(h('section', { class: 'panel stack', 'aria-label': 'Keys' }, bar, panels), { choose })
}

const keyColumn = (open) => ({ title: 'Key', of: (key) => ({ text: keyText(key), class: 'mono', run: open }) })
const namespaceColumn = { title: 'Namespace', of: ({ namespace }) => namespace || '–' }

function hottestPanel(open) {
  const table = dataTable({
    caption: 'Hottest keys',
    empty: 'No samples yet. A process samples one of 1,024 calls while a page is open.',
    columns: [
      keyColumn(open),
      namespaceColumn,
      { title: 'Reads', number: true, of: ({ reads }) => rate(reads) },
      { title: 'Writes', number: true, of: ({ writes }) => (writes > 0 ? rate(writes) : '–') },
    ],
  })
  const note = h(
    'p',
    { class: 'note' },
    'Estimates over ten seconds, from one of 1,024 calls of each process, hits of near caches included. The list rests while ' +
      'the pointer or the focus is in it.',
  )
  return {
    title: 'Hottest',
    element: h('div', {}, table.element, note),
    update({ samples }) {
      if (!table.isBusy()) table.update(samples.hottest)
    },
  }
}

function largestPanel(open) {
  const table = dataTable({
    caption: 'Largest keys',
    empty: 'No entries yet.',
    columns: [keyColumn(open), namespaceColumn, { title: 'Size', number: true, of: ({ bytes }) => size(bytes) }],
  })
  const note = h('p', { class: 'note' }, 'From a walk over all entries, up to 5,000 each second.')
  return {
    title: 'Largest',
    element: h('div', {}, table.element, note),
    update({ largest }) {
      if (!table.isBusy()) table.update(largest)
    },
  }
}

/** A form that searches keys by prefix and tags; `tagged`: by tags alone. */
export function searchPanel(app, open, tagged) {
  const namespace = h('select', { name: 'namespace' })
  const version = h('select', { name: 'version' })
  const versionField = h('label', { hidden: true }, 'Version', version)
  const prefix = h('input', {
    type: 'search',
    name: 'prefix',
    placeholder: 'user:',
    autocomplete: 'off',
    spellcheck: false,
  })
  const tags = h('input', {
    type: 'search',
    name: 'tags',
    placeholder: 'news, front',
    autocomplete: 'off',
    required: tagged,
  })
  const status = h('p', { class: 'note', role: 'status' })
  const more = h('button', { type: 'button', hidden: true, onclick: () => void load(undefined, ++turn) }, 'More keys')
  const table = dataTable({
    caption: 'Keys found',
    empty: '',
    columns: [
      keyColumn(open),
      { title: 'Size', number: true, of: ({ size: bytes }) => (bytes === undefined ? 'other codec' : size(bytes)) },
      {
        title: 'Expires',
        number: true,
        of: ({ expiresAt }) => (expiresAt ? `in ${span(Math.max(0, expiresAt - Date.now()))}` : 'never'),
      },
    ],
  })
  const form = h(
    'form',
    { class: 'fields', onsubmit: (event) => (event.preventDefault(), void search()) },
    versionField,
    h('label', {}, 'Namespace', namespace),
    tagged ? h('label', {}, 'Tags, with commas', tags) : h('label', {}, 'Prefix of the key', prefix),
    tagged ? undefined : h('label', {}, 'Tags, with commas', tags),
    h('button', { type: 'submit', class: 'primary' }, 'Search'),
  )
  table.update([])
  let rows = []
  let walk
  let turn = 0

  function search() {
    const query = {
      segment: app.segment,
      appVersion: version.value,
      namespace: namespace.value,
      prefix: prefix.value || undefined,
      tag: tagsOf(tags),
    }
    rows = []
    table.update(rows)
    return load(query, ++turn)
  }

  /** Goes on until a page is full: a search for few keys walks over many. */
  async function load(query, mine) {
    more.hidden = true
    setText(status, 'Searching')
    let isFirst = query !== undefined
    const place = { namespace: namespace.value, appVersion: version.value }
    try {
      const until = rows.length + 100
      do {
        const page = await get('keys', isFirst ? query : { walk })
        if (mine !== turn) return
        rows = [...rows, ...page.keys.map((key) => ({ ...key, ...place }))]
        walk = page.walk
        isFirst = false
        table.update(rows)
        setText(status, `${plural(rows.length, 'key')} so far`)
      } while (walk !== null && rows.length < until)
      more.hidden = walk === null
      setText(
        status,
        walk === null
          ? `${plural(rows.length, 'key')} found`
          : `${plural(rows.length, 'key')} so far; there may be more`,
      )
    } catch (error) {
      setText(status, error.message)
    }
  }

  return {
    title: 'Browse',
    element: tagged
      ? h('section', { class: 'panel', 'aria-label': 'Entries with a tag' }, form, table.element, status, more)
      : h('div', {}, form, table.element, h('div', { class: 'actions' }, status, more)),
    tagsNow: () => tagsOf(tags),
    placeNow: () => ({ namespace: namespace.value, appVersion: version.value }),
    searchIn(name) {
      namespace.value = name
      void search()
    },
    update({ namespaces, stats }) {
      offer(
        namespace,
        namespaces.map(({ name }) => name),
        'root',
        '',
      )
      const versions = ['', ...stats.versions.map(({ name }) => name)]
      offer(version, versions, 'none', app.appVersion)
      // An application without versions need not know of them.
      versionField.hidden = versions.length === 1
    },
  }
}

/** Fills a choice of names, and keeps what is chosen. `unnamed`: the text for ''. */
function offer(select, names, unnamed, first) {
  if (select.dataset.names === JSON.stringify(names)) return
  const chosen = select.dataset.names === undefined ? first : select.value
  select.dataset.names = JSON.stringify(names)
  select.replaceChildren(...names.map((name) => h('option', { value: name }, name || unnamed)))
  select.value = names.includes(chosen) ? chosen : ''
}

function tagsOf(input) {
  return input.value
    .split(',')
    .map((tag) => tag.trim())
    .filter(Boolean)
}
