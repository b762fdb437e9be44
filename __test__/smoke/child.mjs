/** The other process of the smoke suite: answers a question, holds a lock, or writes until it is killed. */
const [from, name, part] = process.argv.slice(2)
const { open } = await import(from)
const cache = open({ name, near: false })

if (part === 'answer') {
  console.log('ready')
  const { value } = await cache.waitFor('question')
  cache.set('answer', value + 1)
} else if (part === 'hold') {
  await cache.lock('held')
  console.log('ready')
  setInterval(() => {}, 1_000)
} else {
  console.log('ready')
  for (let i = 0; ; i++) cache.set(`written ${i % 50}`, 'x'.repeat(i % 2_000))
}
