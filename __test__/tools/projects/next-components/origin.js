/** Asks the service that counts how often each path was asked for. */
export async function countOf(path) {
  const response = await fetch(`${process.env.ORIGIN}/${path}`)
  return Number(await response.text())
}
