export default async function handler(request, response) {
  await response.revalidate('/legacy')
  response.send('changed')
}
