import { revalidatePath, revalidateTag } from 'next/cache'

/** `?tag=…`, with `&profile=…` since Next 16, or `?path=…`. */
export async function POST(request) {
  const { searchParams } = new URL(request.url)
  const [tag, profile, path] = ['tag', 'profile', 'path'].map((name) => searchParams.get(name))
  if (path !== null) revalidatePath(path)
  else if (profile === null) revalidateTag(tag)
  else revalidateTag(tag, profile === 'now' ? { expire: 0 } : profile)
  return new Response('changed')
}
