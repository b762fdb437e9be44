/**
 * The cases of `npm run test:tools` that need a project of their own: servers with a lockfile, in an empty folder. A
 * project is installed once, and its cases run there one after the other.
 */
const NODE = process.execPath
const next = [NODE, 'node_modules/next/dist/bin/next']

/** A page and a route are two bundles in one process: each loads the package, and both count in one segment. */
const COUNTS = { '/cache': /^\{"visits":1\}$/, '/': /visits: 2</ }
const REFUSES = {
  '/cache':
    /^\{"code":"ERR_NATIVE_UNAVAILABLE",.* a bundler took .*; Next: serverExternalPackages: \['cache-machine'\]\./,
}

/** With the flags of `next dev` and of `next build`. */
const bundlers = [
  ['next-15', 'webpack', []],
  ['next-15', 'Turbopack', ['--turbopack']],
  ['next-16', 'Turbopack', []],
  ['next-16', 'webpack', ['--webpack']],
]

/**
 * `folder`: in __test__/tools/projects. `sources`: a folder there with files to add.
 *
 * @typedef {{ folder: string, sources?: string, cases: import('./tool-cases.mjs').Case[] }} Project
 * @type {Project[]}
 */
export const projects = [
  ...['next-15', 'next-16'].map((folder) => ({
    folder,
    sources: 'next',
    cases: bundlers.filter(([version]) => version === folder).flatMap((bundler) => casesOfNext(...bundler)),
  })),
  {
    folder: 'nest-11',
    cases: [
      {
        title: 'Nest 11, CommonJS',
        steps: [
          { command: [NODE, 'node_modules/typescript/bin/tsc'] },
          {
            command: [NODE, 'dist/main.js'],
            asks: { '/users/1': /"load":1\},"loads":1/, '/users/1?again': /"loads":1/ },
          },
        ],
      },
    ],
  },
]

function casesOfNext(version, bundler, flags) {
  const name = `Next ${version.split('-')[1]}, ${bundler}`
  const dev = [...next, 'dev', '--hostname', '127.0.0.1', ...flags]
  const start = [...next, 'start', '--hostname', '127.0.0.1']
  const build = [...next, 'build', ...flags]
  // Next writes the server for the folder of the project, and it has to run elsewhere.
  const move = ['sh', '-c', 'cp -r .next/standalone "$APART"']
  const standalone = ['sh', '-c', `cd "$APART"/standalone && exec '${NODE}' server.js`]
  return [
    { title: `${name}, dev`, steps: [{ command: dev, asks: COUNTS }] },
    { title: `${name}, dev, bundled`, steps: [{ command: dev, env: { BUNDLED: 'yes' }, asks: REFUSES }] },
    { title: `${name}, build and start`, steps: [{ command: build }, { command: start, asks: COUNTS }] },
    {
      title: `${name}, build, standalone`,
      steps: [{ command: build, env: { STANDALONE: 'yes' } }, { command: move }, { command: standalone, asks: COUNTS }],
    },
    {
      title: `${name}, build, bundled`,
      steps: [
        { command: build, env: { BUNDLED: 'yes' } },
        { command: start, env: { BUNDLED: 'yes' }, asks: REFUSES },
      ],
    },
  ]
}
