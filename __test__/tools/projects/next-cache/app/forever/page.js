import { countOf } from '../../origin.js'

export default async function Forever() {
  const count = await countOf('forever', { tags: ['forever'], revalidate: false })
  return <p>{`count ${count}`}</p>
}
