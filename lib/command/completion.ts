/**
 * Completion scripts, from the table of commands.
 */
import type { Command } from './command.ts'
import { COMMON, SEGMENT } from './grammar.ts'

const NAMES = 'cache-machine list --names 2>/dev/null'

function flagsOf({ options }: Command): string[] {
  return Object.keys({ ...options, ...COMMON }).map((name) => `--${name}`)
}

function namesOf(table: readonly Command[]): string[] {
  return [...table.map(({ name }) => name), 'help']
}

/** The commands with the name of a segment as their first parameter. */
function withSegment(table: readonly Command[]): string[] {
  return table.filter(({ parameters }) => parameters[0] === SEGMENT).map(({ name }) => name)
}

export function bash(table: readonly Command[]): string {
  const cases = table.map((command) => `      ${command.name}) flags='${flagsOf(command).join(' ')}' ;;`)
  return `# bash completion for cache-machine
_cache_machine() {
  local current="\${COMP_WORDS[COMP_CWORD]}" command="\${COMP_WORDS[1]}" flags=''
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W '${namesOf(table).join(' ')} --help --version' -- "$current"))
    return
  fi
  if [ "$command" = completion ]; then
    COMPREPLY=($(compgen -W 'bash zsh fish' -- "$current"))
    return
  fi
  if [ "$command" = help ]; then
    COMPREPLY=($(compgen -W '${table.map(({ name }) => name).join(' ')}' -- "$current"))
    return
  fi
  if [ "\${current:0:1}" = - ]; then
    case "$command" in
${cases.join('\n')}
    esac
    COMPREPLY=($(compgen -W "$flags" -- "$current"))
    return
  fi
  case "$command" in
    ${withSegment(table).join('|')})
      if [ "$COMP_CWORD" -eq 2 ]; then
        COMPREPLY=($(compgen -W "$(${NAMES})" -- "$current"))
      fi ;;
  esac
}
complete -F _cache_machine cache-machine
`
}

export function zsh(table: readonly Command[]): string {
  const quoted = (text: string): string => text.replaceAll("'", "'\\''").replaceAll(':', '\\:')
  const commands = table.map(({ name, summary }) => `    '${name}:${quoted(summary)}'`)
  const cases = table.map((command) => {
    const flags = Object.entries({ ...command.options, ...COMMON }).map(
      ([name, { what }]) => `'--${name}:${quoted(what)}'`,
    )
    return `    ${command.name}) flags=(${flags.join(' ')}) ;;`
  })
  return `#compdef cache-machine
# zsh completion for cache-machine
_cache_machine() {
  local -a commands flags segments
  commands=(
${commands.join('\n')}
    'help:print the help of a command'
  )
  if (( CURRENT == 2 )); then
    _describe 'command' commands
    return
  fi
  case "$words[2]" in
${cases.join('\n')}
  esac
  if [[ "$PREFIX" == -* ]]; then
    _describe 'option' flags
    return
  fi
  case "$words[2]" in
    completion) (( CURRENT == 3 )) && compadd bash zsh fish ;;
    help) (( CURRENT == 3 )) && _describe 'command' commands ;;
    ${withSegment(table).join('|')})
      if (( CURRENT == 3 )); then
        segments=(\${(f)"$(${NAMES})"})
        compadd -a segments
      fi ;;
  esac
}
compdef _cache_machine cache-machine
`
}

export function fish(table: readonly Command[]): string {
  const quoted = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
  const lines = ['# fish completion for cache-machine', 'complete -c cache-machine -f']
  for (const { name, summary } of [...table, { name: 'help', summary: 'print the help of a command' }]) {
    lines.push(`complete -c cache-machine -n __fish_use_subcommand -a ${name} -d ${quoted(summary)}`)
  }
  for (const { name, options } of table) {
    for (const [flag, { type, short, what }] of Object.entries({ ...options, ...COMMON })) {
      const letter = short === undefined ? '' : ` -s ${short}`
      const takes = type === 'flag' ? '' : ' -r'
      lines.push(
        `complete -c cache-machine -n '__fish_seen_subcommand_from ${name}' -l ${flag}${letter}${takes} -d ${quoted(what)}`,
      )
    }
  }
  const after = (names: string): string =>
    `'__fish_seen_subcommand_from ${names}; and test (count (commandline -opc)) -eq 2'`
  lines.push(`complete -c cache-machine -n ${after('completion')} -a 'bash zsh fish'`)
  lines.push(`complete -c cache-machine -n ${after('help')} -a ${quoted(table.map(({ name }) => name).join(' '))}`)
  lines.push(`complete -c cache-machine -n ${after(withSegment(table).join(' '))} -a '(${NAMES})'`)
  return `${lines.join('\n')}\n`
}
