/**
 * What this machine lets a test do; what it does not is skipped, by name.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import test from 'ava'
import type { TestFn } from 'ava'
import { eventually } from './eventually.ts'

/** A user without rights. */
export const NOBODY = 65_534

export const isRoot: boolean = process.geteuid?.() === 0

/** `test`, or `test.skip` where the condition does not hold. */
export function testIf(condition: boolean): TestFn {
  return condition ? test : (test.skip as TestFn)
}

/** Whether a command works here. */
export function works(command: string, ...args: string[]): boolean {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0
}

/** Resolves when the kernel has stopped the process: a signal that was sent says nothing yet. */
export async function isStopped(pid: number | undefined): Promise<void> {
  await eventually('the process is stopped', () => /^State:\s+[Tt]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8')))
}
