import { countOf } from '../origin.js'

export default function Legacy({ count }) {
  return <p>{`count ${count}`}</p>
}

export async function getStaticProps() {
  return { props: { count: await countOf('legacy') }, revalidate: 3600 }
}
