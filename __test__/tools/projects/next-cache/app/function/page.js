import * as cache from 'next/cache'
import { countOf } from '../../origin.js'

export const dynamic = 'force-dynamic'

const cacheTag = cache.cacheTag ?? cache.unstable_cacheTag
const cacheLife = cache.cacheLife ?? cache.unstable_cacheLife

async function cached() {
  'use cache'
  cacheTag('functions')
  cacheLife('days')
  return countOf('function')
}

export default async function Page() {
  return <p>{`count ${await cached()}`}</p>
}
