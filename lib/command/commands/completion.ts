/** `completion`: completes commands, options and the names of segments in a shell. */
import type { Command } from '../command.ts'
import { bash, fish, zsh } from '../completion.ts'

const SHELLS = { bash, zsh, fish } as const

/** The command needs the table that it is in. */
export function completionOf(table: () => readonly Command[]): Command {
  return {
    name: 'completion',
    summary: 'print a completion script for bash, zsh or fish',
    about: [
      'Completes commands, options, and the names of segments, which it asks "cache-machine list --names" for.',
      'bash: eval "$(cache-machine completion bash)" in ~/.bashrc. zsh: eval "$(cache-machine completion zsh)" in ~/.zshrc, after ' +
        'compinit. fish: cache-machine completion fish > ~/.config/fish/completions/cache-machine.fish',
    ],
    parameters: [{ name: 'shell', what: 'bash, zsh or fish' }],
    options: {},
    examples: [['eval "$(cache-machine completion bash)"', 'in ~/.bashrc']],
    json: 'an object with "shell" and "script"',
    run(call, { out }) {
      const shell = call.parameter(0)
      if (!Object.hasOwn(SHELLS, shell))
        throw call.wrong(`there is no completion for ${JSON.stringify(shell)}`, 'Pass bash, zsh or fish.')
      const script = SHELLS[shell as keyof typeof SHELLS](table())
      if (call.flag('json')) out.json({ shell, script })
      else out.write(script)
      return 0
    },
  }
}
