import * as cache from 'next/cache'

export const dynamic = 'force-dynamic'

async function change(form) {
  'use server'
  const tag = form.get('tag')
  if (cache.updateTag === undefined) cache.revalidateTag(tag)
  else cache.updateTag(tag)
}

export default function Page() {
  return (
    <form action={change}>
      <input name="tag" />
    </form>
  )
}
