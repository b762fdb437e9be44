/**
 * What this machine allows a test to do. Other tests are skipped by name.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import test from 'ava'
import type { TestFn } from 'ava'
import { eventually } from './eventually.ts'

/** The id of a user without rights. */
export const UNPRIVILEGED = 65_534

export const isRoot: boolean = process.geteuid?.() === 0

/** `test`, or `test.skip` if the condition is false. */
export function testIf(condition: boolean): TestFn {
  return condition ? test : (test.skip as TestFn)
}

/** Whether a command works here. */
export function works(command: string, ...args: string[]): boolean {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0
}

/** Resolves when the kernel has suspended the process: a signal that was only sent proves nothing. */
export async function isSuspended(pid: number | undefined): Promise<void> {
  await eventually('the process is suspended', () =>
    /^State:\s+[Tt]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8')),
  )
}

/** Whether a test may mount a file system. */
export const canMount: boolean = isRoot && works('mount', '--version')

/** This process's platform as the packages with the binaries name it: `linux-x64-gnu`. */
export function hostTarget(): string {
  const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } }
  return `${process.platform}-${process.arch}-${header.glibcVersionRuntime === undefined ? 'musl' : 'gnu'}`
}
