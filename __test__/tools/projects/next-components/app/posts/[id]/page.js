import { cacheLife, cacheTag } from 'next/cache'
import { countOf } from '../../../origin.js'

export const generateStaticParams = () => [{ id: 'built' }]

export default async function Post({ params }) {
  'use cache'
  const { id } = await params
  cacheTag(`post:${id}`)
  cacheLife('days')
  return <p>{`count ${await countOf(`posts/${id}`)}`}</p>
}
