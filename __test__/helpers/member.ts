/**
 * Orders to `children/member.ts`.
 */
import type { Answer } from '../children/member.ts'
import type { Child } from './fork.ts'

/** The result of an order. Throws if it failed. */
export async function ok(child: Child, ...order: readonly unknown[]): Promise<unknown> {
  const answer = await child.ask<Answer>(order)
  if (answer.code !== undefined) throw new Error(`${order[0] as string}: ${answer.code} ${answer.message}`)
  return answer.value
}
