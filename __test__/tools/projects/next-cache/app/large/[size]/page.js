import { countOf } from '../../../origin.js'

export const revalidate = 3600

export const generateStaticParams = () => []

/** The HTML has the text twice, and the data of the page once. */
export default async function Large({ params }) {
  const { size } = await params
  const count = await countOf(`large/${size}`, { tags: [`large:${size}`], revalidate: 3600 })
  return <p title={'x'.repeat(Number(size))}>{`count ${count}`}</p>
}
