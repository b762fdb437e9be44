/**
 * Moves amounts between accounts for ever, each in a transaction that also writes a list, a hash and a namespace. After
 * each one it writes the number of its transactions in shared memory that outlives it: a counter of the cache, which is
 * no part of the transaction.
 */
import { open } from '../../index.ts'
import type { OpenOptions } from '../../index.ts'
import { input, send } from '../helpers/port.ts'

export interface TransactionWork {
  readonly options: OpenOptions
  readonly accounts: number
  readonly me: number
}

const { options, accounts, me } = input<TransactionWork>()
const cache = open<number>({ writeTimeout: '10s', ...options })
const done = cache.namespace<number>('done')
send('ready')
for (let i = 0; ; i++) {
  const from = Math.floor(Math.random() * accounts)
  const to = (from + 1 + Math.floor(Math.random() * (accounts - 1))) % accounts
  done.incr(`begun ${me}`)
  cache.transaction(
    (tx) => {
      const amount = Math.min(tx.get(`account ${from}`) ?? 0, 1 + (i % 9))
      tx.set(`account ${from}`, (tx.get(`account ${from}`) ?? 0) - amount)
      tx.incr(`account ${to}`, amount)
      tx.list(`log ${me}`).pushMany([amount], { max: 20 })
      tx.hash<number>('moved').incr(String(me), 1)
      tx.namespace<number>('totals').incr(`worker ${me}`)
    },
    { attempts: 1_000_000 },
  )
  done.incr(`done ${me}`)
}
