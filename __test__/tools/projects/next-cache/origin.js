/** Asks the service that counts how often each path was asked for. */
export async function countOf(path, next) {
  const response = await fetch(`${process.env.ORIGIN}/${path}`, next === undefined ? { cache: 'no-store' } : { next })
  return Number(await response.text())
}
