'use strict'

const { statSync } = require('node:fs')
const { createRequire } = require('node:module')
const { join } = require('node:path')

exports.version = '0.1.0'
exports.load = () => {
  const file = join(__dirname, 'cache-machine.linux-x64-musl.node')
  // Turbopack copies a file that is read, and finds its name in no other place.
  statSync(join(__dirname, 'cache-machine.linux-x64-musl.node'))
  return createRequire(file)(file)
}
