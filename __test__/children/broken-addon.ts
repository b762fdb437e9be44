/**
 * Uses the package where the addon cannot be loaded, and says what came of it. Both are fine: that the import throws, and
 * that the first use does.
 */
import type { CacheError } from '../../index.ts'
import { send } from '../helpers/port.ts'

void use().catch(({ name, code, message, hint, cause }: CacheError) => {
  send({ name, code, message, hint, caused: cause !== undefined })
})

async function use(): Promise<void> {
  // Not from outside: the loader of this program's TypeScript goes by it, too.
  process.env.NAPI_RS_NATIVE_LIBRARY_PATH = '/nonexistent/cache-machine.node'
  const { open } = await import('../../index.ts')
  open({ name: 'never' })
  send({ code: 'none' })
}
