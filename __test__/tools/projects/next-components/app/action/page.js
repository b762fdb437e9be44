import { updateTag } from 'next/cache'

async function change(form) {
  'use server'
  updateTag(form.get('tag'))
}

export default function Page() {
  return (
    <form action={change}>
      <input name="tag" />
    </form>
  )
}
