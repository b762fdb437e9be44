/**
 * A newcomer's first command compiles Rust for minutes. It shows what it is doing.
 */
import { join } from 'node:path'
import test from 'ava'
import { root } from '../helpers/internals.ts'

/** Types for a module of `scripts/setup`, which has none. */
interface Setup {
  CargoProgress: new (
    log: (line: string) => void,
    options: { terminal?: { isTTY: boolean; write(text: string): void }; now: () => number },
  ) => { take(text: string): void; show(): void; end(): void }
}

const { CargoProgress } = (await import(join(root, 'scripts/setup/progress.mjs'))) as Setup

test('without a terminal, a line every ten seconds counts the crates and names the present one', (t) => {
  const lines: string[] = []
  let now = 0
  const progress = new CargoProgress((line) => lines.push(line), {
    terminal: { isTTY: false, write: t.fail },
    now: () => now,
  })
  const after = (ms: number): void => {
    now += ms
    progress.show()
  }
  after(9_999)
  t.deepEqual(lines, [])
  after(1)
  progress.take('   Compiling libc v0.2.1\n   Comp')
  progress.take('iling napi v3.0.0\n    Finished something\n')
  after(9_000)
  progress.take('warning: a line\n   Compiling cache-machine-core v0.1.0 (/somewhere)\n')
  after(1_500)
  after(9_000)
  progress.end()
  t.deepEqual(lines, ['  10 s: cargo prepares the build', '  20 s: 3 crates, now cache-machine-core for 1 s'])
})

test('in a terminal, one line is written again and again, and cleared at the end', (t) => {
  let written = ''
  let now = 0
  const terminal = { isTTY: true, write: (text: string) => (written += text) }
  const progress = new CargoProgress(t.fail, { terminal, now: () => now })
  progress.take('   Compiling libc v0.2.1\n')
  for (let i = 0; i < 3; i++) {
    now += 1000
    progress.show()
  }
  progress.end()
  t.deepEqual(written.split('\r\u{1b}[K'), ['', ...[1, 2, 3].map((s) => `  ${s} s: 1 crate, now libc for ${s} s`), ''])
})
