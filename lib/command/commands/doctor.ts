/** `doctor`: what is wrong with this machine, this installation and these segments, each with its remedy. */
import { placeOf } from '../command.ts'
import type { Command } from '../command.ts'
import { judge } from '../doctor/checks.ts'
import { gather } from '../doctor/gather.ts'
import { STATUS_COLOURS } from '../output.ts'

export const doctor: Command = {
  name: 'doctor',
  summary: 'check the machine, the installation and the segments, and say how to fix what is wrong',
  about: [
    'Checks Node.js, the native addon, the C library, the folder of the segments and its size, memory limits, foreign and ' +
      'left-over files, suspended processes, codecs, damage, RemoveIPC of logind, containers and the memory limit of PM2.',
    'It changes nothing, reads 200 entries of each segment, and works without the native addon. Run it as the user and in ' +
      'the container of the program, since both decide what it sees.',
    'The exit code is 1 if there is a problem. Warnings alone are 0.',
  ],
  parameters: [],
  options: {},
  examples: [
    ['cache-machine doctor', 'the findings'],
    ['docker exec app npx cache-machine doctor', 'in a container'],
  ],
  json: 'an object with "verdict" and "checks", an array of "id", "title", "verdict", "finding" and "fix" (null if ok)',
  run(call, world) {
    const { out } = world
    const checks = judge(gather(placeOf(call), world))
    const count = (verdict: string): number => checks.filter((check) => check.verdict === verdict).length
    const verdict = count('problem') > 0 ? 'problem' : count('warning') > 0 ? 'warning' : 'ok'
    if (call.flag('json')) {
      out.json({ verdict, checks: checks.map((check) => ({ ...check, fix: check.fix ?? null })) })
    } else {
      for (const check of checks) {
        out.line(
          `${out.colour(STATUS_COLOURS[check.verdict], check.verdict.padEnd(7))}  ${check.title}: ${check.finding}`,
        )
        if (check.fix !== undefined) out.line(`         Fix: ${check.fix}`)
      }
      out.line()
      out.line(`${checks.length} checks: ${count('problem')} problems, ${count('warning')} warnings.`)
    }
    return verdict === 'problem' ? 1 : 0
  },
}
