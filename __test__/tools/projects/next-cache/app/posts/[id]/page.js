import { countOf } from '../../../origin.js'

export const revalidate = 3600

export const generateStaticParams = () => [{ id: 'built' }, { id: 'other' }]

export default async function Post({ params }) {
  const { id } = await params
  const count = await countOf(`posts/${id}`, { tags: ['posts', `post:${id}`], revalidate: 3600 })
  return <p>{`version ${process.env.VERSION} count ${count}`}</p>
}
