/**
 * The cases of `npm run test:tools` that run in a copy of __test__/tools/fixtures, with the tools of
 * __test__/tools/node_modules.
 */
import { join } from 'node:path'
import { root } from '../setup.mjs'

const bin = (name) => join(root, '__test__/tools/node_modules/.bin', name)
const BUNDLED = /ERR_NATIVE_UNAVAILABLE .* a bundler took the package into its output.* external/s

/** Jest, without a transformation unless `args` has one. */
const jest = (files, args = ['--transform', '{}'], env = {}) => [
  { command: [bin('jest'), '--rootDir', '.', '--testMatch', files, '--runInBand', ...args], env },
]
const node = (file) => ({ command: [process.execPath, file] })

/**
 * A step runs to its end, which must be 0. A step with `asks` is a server: it is asked for each path at the port that the
 * variable `PORT` names, and then ended. Each answer must match. The variable `APART` has a folder where no other
 * installation is found.
 *
 * @typedef {{ command: string[], env?: Record<string, string>, asks?: Record<string, RegExp> }} Step
 * @typedef {{ title: string, steps: Step[], prints?: RegExp }} Case `prints`: what the last step must print.
 * @type {Case[]}
 */
export const cases = [
  { title: 'Jest, two CommonJS files in one process', steps: jest('**/jest/*.test.js') },
  {
    title: 'Jest, ES modules',
    steps: jest('**/jest/*.test.mjs', ['--transform', '{}'], { NODE_OPTIONS: '--experimental-vm-modules' }),
  },
  { title: 'Jest, Babel', steps: jest('**/babel/*.test.js', []) },
  {
    title: 'Jest, ts-jest',
    steps: jest('**/jest/*.test.ts', [
      '--transform',
      JSON.stringify({ '\\.ts$': ['ts-jest', { tsconfig: '<rootDir>/jest/tsconfig.json' }] }),
    ]),
  },
  { title: 'Jest, jsdom', steps: jest('**/jest/commonjs.test.js', ['--transform', '{}', '--env', 'jsdom']) },
  ...['threads', 'forks', 'vmThreads'].map((pool) => ({
    title: `Vitest, ${pool}`,
    steps: [{ command: [bin('vitest'), 'run', '--pool', pool, '--dir', 'vitest'] }],
  })),
  { title: 'AVA, threads', steps: [{ command: [bin('ava')] }] },
  { title: 'AVA, processes', steps: [{ command: [bin('ava'), '--no-worker-threads'] }] },
  { title: 'node --test', steps: [{ command: [process.execPath, '--test', 'node/cache.test.mjs'] }] },
  { title: 'tsx, ES module', steps: [{ command: [bin('tsx'), 'app.mjs'] }], prints: /^works$/m },
  { title: 'tsx, CommonJS', steps: [{ command: [bin('tsx'), 'app.cjs'] }], prints: /^works$/m },
  {
    title: 'swc, to CommonJS',
    steps: [
      {
        command: [
          process.execPath,
          '--eval',
          `const { writeFileSync } = require('node:fs')
          const { transformFileSync } = require('@swc/core')
          const text = require('node:fs').readFileSync('app.mjs', 'utf8').replace(/^try [^]*/m, 'async function main() { $& }\\nmain()\\n')
          writeFileSync('whole.mjs', text)
          writeFileSync('swc.cjs', transformFileSync('whole.mjs', { module: { type: 'commonjs' } }).code)`,
        ],
      },
      node('swc.cjs'),
    ],
    prints: /^works$/m,
  },
  ...[
    ['external', ['--external:cache-machine'], /^works$/m],
    ['bundled', [], BUNDLED],
  ].flatMap(([how, args, prints]) =>
    [
      ['ES module', 'app.mjs', 'esm', 'out.mjs'],
      ['CommonJS', 'app.cjs', 'cjs', 'out.cjs'],
    ].map(([format, entry, name, out]) => ({
      title: `esbuild, ${format}, ${how}`,
      steps: [
        {
          command: [
            bin('esbuild'),
            entry,
            '--bundle',
            '--platform=node',
            `--format=${name}`,
            `--outfile=${out}`,
            ...args,
          ],
        },
        node(out),
      ],
      prints,
    })),
  ),
  ...['app.mjs', 'app.cjs'].flatMap((entry) => [
    {
      title: `webpack, ${entry}, external`,
      steps: [webpack(entry, ['--config', 'external.webpack.cjs']), node('out/main.js')],
      prints: /^works$/m,
    },
    { title: `webpack, ${entry}, bundled`, steps: [webpack(entry, []), node('out/main.js')], prints: BUNDLED },
  ]),
  ...[
    ['external', ['--external', 'cache-machine'], /^works$/m],
    ['bundled', [], BUNDLED],
  ].map(([how, args, prints]) => ({
    title: `Rollup, ${how}`,
    steps: [
      {
        command: [bin('rollup'), 'app.mjs', '-p', 'node-resolve', '-p', 'commonjs', '-o', 'out.mjs', ...args],
      },
      node('out.mjs'),
    ],
    prints,
  })),
  ...[
    ['Vite SSR', [], /^works$/m],
    ['Vite SSR, noExternal', ['--config', 'no-external.vite.mjs'], BUNDLED],
    ['Vite SSR, noExternal and external', ['--config', 'external.vite.mjs'], /^works$/m],
  ].map(([title, args, prints]) => ({
    title,
    steps: [{ command: [bin('vite'), 'build', '--ssr', 'app.mjs', '--outDir', 'out', ...args] }, node('out/app.mjs')],
    prints,
  })),
  ...['mjs', 'cjs'].map((format) => ({
    title: `ncc, app.${format}, the output alone`,
    steps: [{ command: [bin('ncc'), 'build', `app.${format}`, '-o', 'out'] }, node(`out/index.${format}`)],
    prints: /^works$/m,
  })),
  {
    title: 'nft, the traced files alone',
    steps: [
      {
        command: [
          process.execPath,
          '--input-type=module',
          '--eval',
          `import { cpSync } from 'node:fs'
          import { nodeFileTrace } from '@vercel/nft'
          const { fileList } = await nodeFileTrace(['app.mjs', 'app.cjs'], { base: '..' })
          for (const file of fileList) cpSync('../' + file, 'traced/' + file)`,
        ],
      },
      { command: ['sh', '-c', 'cp -r traced "$APART" && cd "$APART"/traced/run-* && node app.cjs && node app.mjs'] },
    ],
    prints: /^works\nworks$/m,
  },
]

function webpack(entry, args) {
  const command = [bin('webpack'), '--mode', 'development', '--target', 'node', '--entry', `./${entry}`, '-o', 'out']
  return { command: [...command, ...args] }
}
