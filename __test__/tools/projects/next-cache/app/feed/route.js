import { countOf } from '../../origin.js'

export const revalidate = 3600

export async function GET() {
  return new Response(`count ${await countOf('feed', { tags: ['feed'], revalidate: 3600 })}`)
}
