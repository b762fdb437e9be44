/** The processes that have the segment open. */
import { dataTable, h, panel } from './dom.js'
import { moment, span } from './format.js'

export function processes() {
  const table = dataTable({
    caption: 'Processes',
    empty: 'No process.',
    columns: [
      { title: 'Pid', number: true, of: ({ pid }) => String(pid) },
      { title: 'State', of: stateOf },
      { title: 'Attached', of: ({ attachedAt }) => h('span', { class: 'nowrap' }, attachedText(attachedAt)) },
      { title: 'Samples', of: ({ isSampling }) => (isSampling ? 'yes' : '–') },
      {
        title: 'Command line',
        of: ({ title }) => h('span', { class: 'mono' }, title ?? 'unseen: another PID namespace'),
      },
    ],
  })
  const health = h('p')
  return {
    element: h(
      'div',
      { class: 'stack' },
      panel('Health', {}, health),
      panel(
        'Processes',
        {
          note:
            'A suspended process (SIGSTOP, a debugger) that is inside a write makes other writers of its shard fail with ' +
            'ERR_BUSY. An unseen one is in another PID namespace, as in another container.',
        },
        table.element,
      ),
    ),
    update({ processes: rows, samples, health: found }) {
      health.textContent = [found.text, found.hint].filter(Boolean).join('. ')
      table.update(rows.map((row) => ({ ...row, isSampling: samples.pids.includes(row.pid) })))
    },
    destroy() {},
  }
}

function attachedText(time) {
  return `${moment(time)} (${span(Date.now() - time)} ago)`
}

function stateOf({ state }) {
  const look = { running: 'good', suspended: 'bad' }[state] ?? ''
  return h('span', { class: `pill ${look}` }, state)
}
