import { visits } from '../visits.js'

export const dynamic = 'force-dynamic'

/** A server component. Next makes a bundle of its own for each page and route. */
export default function Page() {
  return <p>{`visits: ${visits()}`}</p>
}
