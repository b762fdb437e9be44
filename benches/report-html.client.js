// Draws `charts` with Chart.js in the colours of the style sheet, and redraws them when the colour scheme changes.
const dashes = [[], [6, 3], [2, 3], [10, 3, 2, 3]]
let drawn = []

function draw() {
  for (const chart of drawn) chart.destroy()
  const style = getComputedStyle(document.documentElement)
  const colour = (name) => style.getPropertyValue(`--${name}`).trim()
  Chart.defaults.color = colour('ink')
  Chart.defaults.borderColor = colour('rule')
  Chart.defaults.font.family = 'system-ui, sans-serif'
  Chart.defaults.animation = false
  Chart.defaults.maintainAspectRatio = false
  drawn = charts.map((chart) => {
    const holder = document.querySelector(`#${chart.id} .chart`)
    const { height, config } = chart.chart === 'bar' ? bars(chart, colour) : lines(chart, colour)
    holder.style.height = `${height}px`
    return new Chart(holder.querySelector('canvas'), config)
  })
}

/** A group of bars for each contender, with one bar for each column. */
function bars({ columns, rows, unit, logarithmic }, colour) {
  const datasets = columns.map((column, i) => ({
    label: column,
    data: rows.map(({ values }) => values[i]),
    texts: rows.map(({ texts }) => texts[i]),
    backgroundColor: colour(`s${i % 4}`),
  }))
  const ticks = { autoSkip: false, font: ({ index }) => ({ weight: rows[index]?.isOurs ? 'bold' : 'normal' }) }
  const options = { indexAxis: 'y', scales: { x: axis(unit, logarithmic), y: { ticks, grid: { display: false } } } }
  const height = 90 + rows.length * (12 + 9 * columns.length)
  return {
    height,
    config: { type: 'bar', data: { labels: rows.map(({ label }) => label), datasets }, options: withTexts(options) },
  }
}

/** A line for each contender over the columns, or points where the columns are not a scale. Our lines are thick. */
function lines({ chart, columns, rows, unit, logarithmic }, colour) {
  let others = 0
  let ours = 0
  const datasets = rows.map(({ label, isOurs, values, texts }) => {
    const style = isOurs
      ? { line: colour('s0'), dash: dashes[ours++ % 4] }
      : { line: shade(colour, others), dash: dashes[Math.floor(others++ / 4) % 4] }
    return {
      label,
      data: values,
      texts,
      borderColor: style.line,
      backgroundColor: style.line,
      borderDash: style.dash,
      borderWidth: isOurs ? 3.5 : 1.5,
      pointRadius: isOurs ? 4 : 3,
      showLine: chart === 'line',
    }
  })
  const x = { title: { display: chart === 'line', text: 'processes' } }
  const options = { scales: { x, y: axis(unit, logarithmic) } }
  return { height: 460, config: { type: 'line', data: { labels: columns, datasets }, options: withTexts(options) } }
}

/** The other contenders share three colours and grey in rotation; dashes distinguish them. */
function shade(colour, index) {
  return colour(['s1', 's2', 's3', 'others'][index % 4])
}

function axis(unit, logarithmic) {
  const isRound = (value) => Math.abs(Math.log10(value) - Math.round(Math.log10(value))) < 1e-9
  const callback = (value) => (!logarithmic || isRound(value) ? short(value) : '')
  return {
    type: logarithmic ? 'logarithmic' : 'linear',
    beginAtZero: !logarithmic,
    title: { display: true, text: unit },
    ticks: { callback, maxRotation: 0 },
  }
}

function short(value) {
  if (value >= 1e6) return `${value / 1e6} M`
  return value >= 1e3 ? `${value / 1e3} k` : `${value}`
}

function withTexts(options) {
  const label = ({ dataset, dataIndex }) => `${dataset.label}: ${dataset.texts[dataIndex]}`
  return { ...options, plugins: { tooltip: { callbacks: { label } }, legend: { position: 'top', align: 'start' } } }
}

if (typeof Chart === 'undefined') {
  for (const holder of document.querySelectorAll('.chart')) holder.remove()
  for (const numbers of document.querySelectorAll('details')) numbers.open = true
} else {
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw)
  draw()
}
