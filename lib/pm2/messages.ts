/**
 * The messages between PM2 and a module: metrics for `pm2 show` and `pm2 monit`, and actions for `pm2 trigger`.
 *
 * They are those of PM2's own library for modules, which brings eight packages for them.
 */

/** A number that PM2 shows beside its name. */
export interface Metric {
  readonly value: number | string
  readonly unit?: string
}

/** What `pm2 trigger` calls. It answers with text for the terminal. */
export type Action = (argument: string) => string

/** The channel to PM2: the part of `process` that a child with a channel has. */
export interface Pm2Channel {
  send(message: object): unknown
  on(event: 'message', listener: (message: unknown) => void): unknown
}

/** The metrics and actions of one module. */
export class Pm2Messages {
  readonly #channel: Pm2Channel
  readonly #actions: ReadonlyMap<string, Action>

  constructor(channel: Pm2Channel, actions: Readonly<Record<string, Action>>) {
    this.#channel = channel
    this.#actions = new Map(Object.entries(actions))
    channel.on('message', (message) => {
      const [name, argument] = calledAction(message)
      const action = this.#actions.get(name)
      if (action === undefined) return
      this.#send('axm:reply', { action_name: name, return: answerOf(action, argument) })
    })
    for (const name of this.#actions.keys()) this.#send('axm:action', { action_name: name, action_type: 'custom' })
  }

  /** Replaces the metrics with these names. PM2 keeps a metric until the module restarts. */
  show(metrics: Readonly<Record<string, Metric>>): void {
    this.#send('axm:monitor', metrics)
  }

  #send(type: string, data: object): void {
    this.#channel.send({ type, data })
  }
}

/** The name of the action of a message, and its argument. PM2 sends the bare name if there is no argument. */
function calledAction(message: unknown): [name: string, argument: string] {
  if (typeof message === 'string') return [message, '']
  const { msg, opts } = (message ?? {}) as { msg?: unknown; opts?: unknown }
  return [typeof msg === 'string' ? msg : '', typeof opts === 'string' || typeof opts === 'number' ? `${opts}` : '']
}

function answerOf(action: Action, argument: string): string {
  try {
    return action(argument)
  } catch (error) {
    const { message, hint } = error as { message: string; hint?: string }
    return hint === undefined ? message : `${message}. ${hint}`
  }
}
