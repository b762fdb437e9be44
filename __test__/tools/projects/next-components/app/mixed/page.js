import { Suspense } from 'react'
import { cacheLife, cacheTag } from 'next/cache'
import { connection } from 'next/server'
import { countOf } from '../../origin.js'

async function cached(path) {
  'use cache'
  cacheTag(path)
  cacheLife('days')
  return countOf(path)
}

/** A part that each request renders, with a cached result. */
async function Live() {
  await connection()
  return <p>{`live ${await countOf('live')} inner ${await cached('inner')}`}</p>
}

export default async function Mixed() {
  return (
    <main>
      <p>{`count ${await cached('shell')}`}</p>
      <Suspense fallback={<p>loading</p>}>
        <Live />
      </Suspense>
    </main>
  )
}
