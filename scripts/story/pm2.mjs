/**
 * A separate PM2 daemon, controlled through its command line.
 *
 * All files of PM2, sockets and logs included, are in PM2_HOME, so the user's own PM2 is not affected. PM2 copies
 * each variable of its caller's environment into the settings of every app, where a stray `name` or `instances` does
 * harm, and variables such as PM2_DAEMON_RPC_PORT override PM2_HOME. So the environment only has the variables that
 * are needed.
 */
import { spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'

const require = createRequire(import.meta.url)
const passedOn =
  /^(PATH|HOME|USER|LOGNAME|SHELL|TMPDIR|TZ|LANG|LC_\w+|LD_\w+|DYLD_\w+|NODE_OPTIONS|NODE_V8_COVERAGE|CACHE_MACHINE_NATIVE)$/
// PM2 waits ten seconds (`listen_timeout`) for each worker that does not come up.
const commandTimeout = 60_000

export class Pm2 {
  #home
  #environment

  /** @param {Record<string, string>} variables For the apps. */
  constructor(home, variables = {}) {
    this.#home = home
    this.#environment = {
      ...Object.fromEntries(Object.entries(process.env).filter(([name]) => passedOn.test(name))),
      ...variables,
      PM2_HOME: home,
      // No banner, no request to npm for a newer version, no agent.
      PM2_DISCRETE_MODE: 'true',
      PM2_DISABLE_VERSION_CHECK: 'true',
      PM2_NO_INTERACTION: 'true',
    }
  }

  get version() {
    return require('pm2/package.json').version
  }

  start(ecosystemFile) {
    return this.#run('start', ecosystemFile)
  }

  reload(name) {
    return this.#run('reload', name)
  }

  stop(name) {
    return this.#run('stop', name)
  }

  kill() {
    return this.#run('kill')
  }

  /** Installs a module: the name of a package, or `.` for the folder `cwd`. */
  install(what, cwd) {
    return this.#run({ cwd }, 'install', what)
  }

  /** Changes a setting of a module, which PM2 restarts for it. */
  set(name, value) {
    return this.#run('set', name, value)
  }

  trigger(name, action, argument) {
    return this.#run('trigger', name, action, ...(argument === undefined ? [] : [argument]))
  }

  show(name) {
    return this.#run('show', name)
  }

  /** All processes and modules: `{ name, pid, status, restarts, isWorker, metrics }`. */
  async list() {
    const output = await this.#run('jlist')
    const list = JSON.parse(output.split('\n').find((line) => line.startsWith('[{')) ?? '[]')
    return list.map(({ name, pid, pm2_env }) => ({
      name,
      pid,
      status: pm2_env.status,
      restarts: pm2_env.restart_time,
      isWorker: pm2_env.exec_mode === 'cluster_mode',
      metrics: pm2_env.axm_monitor ?? {},
    }))
  }

  /** The cluster workers: `{ pid, restarts }`. */
  async workers() {
    return (await this.list()).filter(({ isWorker }) => isWorker).map(({ pid, restarts }) => ({ pid, restarts }))
  }

  /** The last lines of the logs of the daemon and the apps, to find out what went wrong. */
  lastWords(lines = 15) {
    const logs = join(this.#home, 'logs')
    const files = [join(this.#home, 'pm2.log')]
    try {
      files.push(...readdirSync(logs).map((file) => join(logs, file)))
      return files.map((file) => tail(file, lines)).join('')
    } catch {
      return ''
    }
  }

  async #run(...given) {
    const [{ cwd }, parameters] = typeof given[0] === 'string' ? [{}, given] : [given[0], given.slice(1)]
    const child = spawn(process.execPath, [require.resolve('pm2/bin/pm2'), ...parameters], {
      env: this.#environment,
      cwd,
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: commandTimeout,
      killSignal: 'SIGKILL',
      // A session of its own: Ctrl-C must reach the story only, which then needs `pm2 kill` to run to its end.
      detached: true,
    })
    const ended = new Promise((resolve, reject) => {
      child.once('error', reject)
      child.once('exit', (code, signal) => resolve(code ?? signal))
    })
    const [output, errors, code] = await Promise.all([text(child.stdout), text(child.stderr), ended])
    if (code !== 0) throw new Error(`pm2 ${parameters.join(' ')} ended with ${code}\n${output}${errors}`)
    return output
  }
}

function tail(file, lines) {
  const content = readFileSync(file, 'utf8').trimEnd()
  return content && `--- ${file}\n${content.split('\n').slice(-lines).join('\n')}\n`
}
