/**
 * Socket.IO: the tests of @socket.io/cluster-adapter, which start three workers. They are run with
 * `ClusterAdapterWithHeartbeat`, since one of them expects a message of that class.
 *
 * Some tests prepare one worker and let another one send, and wait for neither. With the adapter of the host, both go
 * through the primary in this order. Ours has no primary, so the run waits a second before the worker sends.
 */
import { filesBelow } from './shared/checkout.mjs'

const dependencies = {
  'expect.js': '0.3.1',
  mocha: '11.7.5',
  'socket.io': '4.8.4',
  'socket.io-adapter': '2.5.9',
  'socket.io-client': '4.8.4',
  tsx: '4.23.1',
}

const adapter = `const { ClusterAdapterWithHeartbeat } = require('socket.io-adapter')
const { open, segments } = require('cache-machine')
const { socketIoAdapter } = require('cache-machine/socket-io')

const name = (pid) => \`socket-io-suite-\${pid}\`

exports.setupPrimary = () => process.on('exit', () => segments.destroy(name(process.pid), { force: true }))
exports.createAdapter = () =>
  socketIoAdapter(open({ name: name(process.ppid) }), { ClusterAdapter: ClusterAdapterWithHeartbeat })
`

function waiting(text) {
  const sends = /workers\[0\]\.send\(\s*("(?:broadcasts to all clients (?:except )?in a? ?room|[^"]* \(1\))"),?\s*\);/g
  return text
    .replaceAll(sends, 'setTimeout(() => workers[0].send($1), 1000);')
    .replace('this.timeout(6000)', 'this.timeout(12000)')
}

/** @type {import('../hosts.mjs').Host} */
export default {
  repository: 'socketio/socket.io',
  dependencies,
  files(checkout) {
    const folder = 'packages/socket.io-cluster-adapter/test'
    const tests = Object.entries(filesBelow(checkout, folder)).map(([path, text]) => [
      path.replace(folder, 'test'),
      waiting(text),
    ])
    return {
      // The tests are CommonJS.
      'package.json': JSON.stringify({ name: 'host', private: true, dependencies }),
      'index.js': adapter,
      ...Object.fromEntries(tests),
    }
  },
  command: ['mocha', '--require', 'tsx/cjs', '--exit', '--timeout', '20000', '--reporter', 'json', 'test/index.ts'],
  countsOf(output) {
    const { stats } = JSON.parse(output.slice(output.indexOf('{\n'), output.lastIndexOf('}') + 1))
    return { passed: stats.passes, failed: stats.failures, skipped: stats.pending }
  },
}
