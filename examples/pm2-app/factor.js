/**
 * The prime factors of an integer above 1, in ascending order.
 *
 * @param {number} number
 * @returns {number[]}
 */
export function factor(number) {
  const factors = []
  let rest = number
  for (let prime = 2; prime * prime <= rest; prime++) {
    for (; rest % prime === 0; rest /= prime) factors.push(prime)
  }
  return rest > 1 ? [...factors, rest] : factors
}
