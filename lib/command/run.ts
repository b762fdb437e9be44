/**
 * Runs one command line: finds the command, prints help, and turns errors into messages and exit codes.
 */
import { UsageError, findCommand, parseCall } from './arguments.ts'
import type { ExitCode, World } from './command.ts'
import { exitCodeOf, printError } from './failure.ts'
import { helpOf, overview } from './help.ts'
import { COMMANDS, GROUPS } from './table.ts'

/** The arguments behind the name of the program. */
export async function runCommandLine(args: readonly string[], world: World): Promise<ExitCode> {
  try {
    return await dispatch(args, world)
  } catch (error) {
    printError(error, world.err, args.includes('--json'))
    return exitCodeOf(error)
  }
}

async function dispatch([name, ...args]: readonly string[], world: World): Promise<ExitCode> {
  const { out } = world
  if (name === undefined) {
    world.err.write(overview(GROUPS, world.version))
    return 2
  }
  if (name === '--help' || name === '-h' || name === 'help') {
    const [subject] = args
    out.write(subject === undefined ? overview(GROUPS, world.version) : helpOf(findCommand(subject, COMMANDS)))
    return 0
  }
  if (name === '--version' || name === '-v') {
    out.line(world.version)
    return 0
  }
  if (name.startsWith('-')) {
    throw new UsageError(`the command comes before the option ${name}`, 'Write "cache-machine <command> [options]".')
  }
  const command = findCommand(name, COMMANDS)
  const call = parseCall(command, args)
  if (call.flag('help')) {
    out.write(helpOf(command))
    return 0
  }
  return command.run(call, world)
}
