/**
 * Uses the package where the addon cannot be loaded, and reports the outcome. Both are valid: the import throws, or the
 * first use does.
 */
import type { CacheError } from '../../index.ts'
import { send } from '../helpers/port.ts'

void use().catch(({ name, code, message, hint, cause }: CacheError) => {
  send({ name, code, message, hint, caused: cause !== undefined })
})

async function use(): Promise<void> {
  process.env['CACHE_MACHINE_NATIVE'] = '/nonexistent/cache-machine.node'
  const { open } = await import('../../index.ts')
  open({ name: 'never' })
  send({ code: 'none' })
}
