/**
 * The catalogue: every program of this repository that can be run, with its command, its duration and its purpose.
 *
 * CONTRIBUTING.md shows it as tables, `npm run campaign -- --list` prints the campaigns, and `npm test` takes the
 * titles of its suites from here. The suite `drift` fails when a program is missing here or a table is out of date.
 * Durations are those of a machine with two cores, once everything is built.
 *
 * This module is data only. It imports nothing, so that everything may import it.
 */

/** The suites of `npm test`, in the order in which they run. */
export const suites = [
  { id: 'formatting', title: 'Formatting', question: 'Is every file formatted? `npm run format` formats them.' },
  { id: 'clippy', title: 'Clippy', question: 'Does the Rust code pass its lints?' },
  { id: 'oxlint', title: 'Oxlint', question: 'Do TypeScript and JavaScript pass their lints?' },
  { id: 'types', title: 'Type check', question: 'Are the types right, in the tests as well?' },
  { id: 'drift', title: 'Generated files', question: 'Are generated files and tables up to date? `npm run docs`.' },
  { id: 'structure', title: 'Structure', question: 'Do imports, file sizes, Markdown and prose keep the rules?' },
  { id: 'package', title: 'Packages', question: 'Do both module formats resolve, with types, for every tool?' },
  { id: 'cargo', title: 'Rust tests', question: 'Do the Rust unit, integration and doc tests pass?' },
  { id: 'kill', title: 'Kill steps', question: 'Does the cache survive `kill -9` at every named step?' },
  { id: 'loom', title: 'Loom models', question: 'Is there a bad interleaving of the lock-free parts?' },
  { id: 'models', title: 'Spin models', question: 'Does the design have a bad state? Small settings only.' },
  { id: 'ava', title: 'AVA specs', question: 'Do the documented promises hold from JavaScript, across processes?' },
  { id: 'runtimes', title: 'Other runtimes', question: 'Do Node.js 20 to 26, Bun and Deno run the same build?' },
  { id: 'portable', title: 'Portable engine', question: 'Do the specs of the API hold without native code as well?' },
  { id: 'fuzz', title: 'Fuzzing', question: 'Does a short fuzzing run find a bad input?' },
  { id: 'torture', title: 'Torture', question: 'Do the promises hold under random operations, kills and stops?' },
  { id: 'story', title: 'Story', question: 'Is every claim of `npm start` true, and does it leave nothing behind?' },
  { id: 'leftovers', title: 'Leftovers', question: 'Did the run leave a segment in `/dev/shm`?' },
]

/**
 * The programs. `file` is what runs, unless npm runs another tool; `script` is the name in package.json.
 *
 * @type {{ command: string, script?: string, file?: string, duration: string, purpose: string }[]}
 */
export const programs = [
  {
    command: 'npm start',
    script: 'start',
    file: 'scripts/story/start.mjs',
    duration: '1 min',
    purpose: 'shows the cache with PM2, four workers and HTTP requests',
  },
  {
    command: 'npm test',
    script: 'test',
    file: 'scripts/verify/test.mjs',
    duration: '15 min',
    purpose: 'runs all suites; `-- --only ava,cargo` runs some',
  },
  {
    command: 'npm run test:tools',
    script: 'test:tools',
    file: 'scripts/verify/tools.mjs',
    duration: '10 min',
    purpose: 'runs the packages with test runners, bundlers, Next',
  },
  {
    command: 'npm run test:hosts',
    script: 'test:hosts',
    file: 'scripts/verify/hosts.mjs',
    duration: '1 min',
    purpose: '`-- HOST DIR` runs the suite of a host on our adapter',
  },
  {
    command: 'npm run test:next',
    script: 'test:next',
    file: 'scripts/verify/next.mjs',
    duration: '5 min',
    purpose: 'builds and serves the Next apps, `-- NAME` one of them',
  },
  {
    command: 'npm run check',
    script: 'check',
    file: 'scripts/verify/test.mjs',
    duration: '2 min',
    purpose: 'runs the suites that execute no test code',
  },
  {
    command: 'npm run build',
    script: 'build',
    file: 'scripts/setup.mjs',
    duration: '3 min',
    purpose: 'installs and builds; seconds when nothing changed',
  },
  {
    command: 'npm run prepare',
    script: 'prepare',
    file: 'scripts/setup.mjs',
    duration: '3 min',
    purpose: 'the same, for npm when it installs from git',
  },
  { command: 'npm run format', script: 'format', duration: '10 s', purpose: 'formats all files' },
  {
    command: 'npm run docs',
    script: 'docs',
    file: 'scripts/verify/docs.mjs',
    duration: '15 s',
    purpose: 'builds docs/api/ and the generated tables',
  },
  {
    command: 'npm run release',
    script: 'release',
    file: 'scripts/release.mjs',
    duration: '1 min',
    purpose: 'publishes all packages; `-- --dry-run` tries it',
  },
  {
    command: 'node scripts/release/build.mjs',
    file: 'scripts/release/build.mjs',
    duration: '5 min',
    purpose: 'builds the binary of one platform, linked by zig',
  },
  {
    command: 'node scripts/verify/structure.mjs',
    file: 'scripts/verify/structure.mjs',
    duration: '5 s',
    purpose: 'runs the five checks below, without the npm suite',
  },
  {
    command: 'node scripts/verify/screenshot.mjs',
    file: 'scripts/verify/screenshot.mjs',
    duration: '2 min',
    purpose: 'makes docs/dashboard.png, in Chromium, under load',
  },
  {
    command: 'node scripts/verify/typescript-imports.mjs',
    file: 'scripts/verify/typescript-imports.mjs',
    duration: '3 s',
    purpose: 'finds import circles and broken layers in lib/',
  },
  {
    command: 'node scripts/verify/rust-modules.mjs',
    file: 'scripts/verify/rust-modules.mjs',
    duration: '1 s',
    purpose: 'finds import circles in each crate',
  },
  {
    command: 'node scripts/verify/file-sizes.mjs',
    file: 'scripts/verify/file-sizes.mjs',
    duration: '1 s',
    purpose: 'finds source files above 600 lines',
  },
  {
    command: 'node scripts/verify/markdown.mjs',
    file: 'scripts/verify/markdown.mjs',
    duration: '1 s',
    purpose: 'finds long lines and broken links in Markdown',
  },
  {
    command: 'node scripts/verify/prose.mjs',
    file: 'scripts/verify/prose.mjs',
    duration: '1 s',
    purpose: 'finds words that the English rule excludes',
  },
  {
    command: 'node scripts/verify/package.mjs',
    file: 'scripts/verify/package.mjs',
    duration: '15 s',
    purpose: 'checks the packages with publint and attw',
  },
  {
    command: 'npm run model',
    script: 'model',
    file: 'scripts/verify/model.mjs',
    duration: '7 min',
    purpose: 'searches every state of the Spin models',
  },
  {
    command: 'npm run sanitize',
    script: 'sanitize',
    file: 'scripts/verify/sanitize.mjs',
    duration: '30 min',
    purpose: 'tests under sanitizers, the addon under valgrind',
  },
  {
    command: 'npm run test:nodes',
    script: 'test:nodes',
    file: 'scripts/verify/runtimes.mjs',
    duration: '17 min',
    purpose: 'runs all specs on Node.js 20, 22, 24 and 26',
  },
  {
    command: 'npm run test:platforms',
    script: 'test:platforms',
    file: 'scripts/verify/platforms.mjs',
    duration: '60 min',
    purpose: 'builds for arm64 and musl, and runs tests there',
  },
  {
    command: 'npm run fuzz',
    script: 'fuzz',
    file: 'scripts/campaigns/fuzz.mjs',
    duration: '8 min',
    purpose: 'feeds hostile input to each target for a minute',
  },
  {
    command: 'npm run torture',
    script: 'torture',
    file: 'scripts/campaigns/torture.mjs',
    duration: '1 min',
    purpose: 'runs random operations under random kills',
  },
  {
    command: 'npm run mutants',
    script: 'mutants',
    file: 'scripts/campaigns/mutants.mjs',
    duration: '50 min',
    purpose: 'removes each defence, and shows that a test notices',
  },
  {
    command: 'npm run campaign',
    script: 'campaign',
    file: 'scripts/campaigns/campaign.mjs',
    duration: '6 h',
    purpose: 'runs all campaigns of the table below',
  },
  {
    command: 'npm run bench',
    script: 'bench',
    file: 'benches/run.mjs',
    duration: '10 min',
    purpose: 'compares speed with other caches; see benches/',
  },
  { command: 'npm run bench:rust', script: 'bench:rust', duration: '2 min', purpose: 'measures the core alone' },
  {
    command: 'node benches/encoders.mjs',
    file: 'benches/encoders.mjs',
    duration: '2 min',
    purpose: 'measures ways to encode objects',
  },
  {
    command: 'node benches/clear-and-tags.mjs',
    file: 'benches/clear-and-tags.mjs',
    duration: '30 s',
    purpose: 'measures `clear`, `invalidateTags` and a walk',
  },
  {
    command: 'node benches/ten-thousand-waits.mjs',
    file: 'benches/ten-thousand-waits.mjs',
    duration: '1 min',
    purpose: 'measures 10,000 to 60,000 waits in one process',
  },
  {
    command: 'node benches/walks.mjs',
    file: 'benches/walks.mjs',
    duration: '30 s',
    purpose: 'measures walks, and how long the event loop stands still',
  },
  {
    command: 'node benches/snapshots.mjs',
    file: 'benches/snapshots.mjs',
    duration: '30 s',
    purpose: 'measures snapshots and restores of 256 MiB',
  },
]

/** Programs that a program of `programs` starts. They are not run by hand. */
export const children = [
  {
    file: 'scripts/verify/values-table.mjs',
    startedBy: 'scripts/verify/docs.mjs',
    purpose: 'prints the table of docs/values.md',
  },
  {
    file: 'scripts/verify/command-pages.mjs',
    startedBy: 'scripts/verify/docs.mjs',
    purpose: 'prints the reference of the command',
  },
  {
    file: 'scripts/campaigns/fuzz/codecs.mjs',
    startedBy: 'scripts/campaigns/fuzz.mjs',
    purpose: 'gives hostile bytes to the decoders',
  },
  {
    file: 'scripts/campaigns/fuzz/options.mjs',
    startedBy: 'scripts/campaigns/fuzz.mjs',
    purpose: 'gives random arguments to every call',
  },
  {
    file: 'scripts/campaigns/torture/player.mjs',
    startedBy: 'scripts/campaigns/torture.mjs',
    purpose: 'runs random operations and judges the results',
  },
  {
    file: 'scripts/campaigns/torture/victim.mjs',
    startedBy: 'scripts/campaigns/torture.mjs',
    purpose: 'writes without pause until it is killed',
  },
  {
    file: 'scripts/campaigns/torture/clock-watcher.mjs',
    startedBy: 'scripts/campaigns/torture.mjs',
    purpose: 'measures how long the machine pauses a process',
  },
]

/**
 * Runs that are too long for `npm test`. `minutes`: about how long each takes on two cores.
 *
 * A test is found by a part of its name in all test files, and a spec by its file name in all folders, so that a test
 * may move to another file. The suite `drift` fails when a name is no longer found.
 *
 * @type {{ name: string, minutes: number, purpose: string, env?: Record<string, string>, command: string }[]}
 */
export const campaigns = [
  {
    name: 'kills',
    minutes: 8,
    purpose: '100,000 kills at random steps lose nothing and block no process',
    env: { KILLS: '100000', SEED: '1' },
    command: 'cargo test -p cache-machine-core --features kill-steps --tests random_kills -- --nocapture',
  },
  {
    name: 'repairs',
    minutes: 3,
    purpose: 'each repair is itself killed at every step',
    env: { REPAIRS: '1' },
    command: 'cargo test -p cache-machine-core --features kill-steps --tests killed_at_every -- --nocapture',
  },
  {
    name: 'histories',
    minutes: 1,
    purpose: '10,000 histories of four processes are linearizable',
    env: { HISTORIES: '10000', SEED: '1' },
    command: 'cargo test -p cache-machine-core --features kill-steps --tests linearizable -- --nocapture',
  },
  {
    name: 'takeovers',
    minutes: 2,
    purpose: '200 times a lock passes from a killed holder to a waiter',
    env: { TAKEOVERS: '200' },
    command: "npx ava '**/lock.spec.ts'",
  },
  {
    name: 'locks',
    minutes: 10,
    purpose: 'one lock, four processes, random kills for ten minutes',
    env: { LOCK_SECONDS: '600' },
    command: "npx ava '**/lock-kills.spec.ts'",
  },
  {
    name: 'exactness',
    minutes: 2,
    purpose: 'counters and limiters stay exact under 200 kills',
    env: { CALLS: '100000', KILLS: '200' },
    command: "npx ava '**/exactness.spec.ts'",
  },
  {
    name: 'engines',
    minutes: 15,
    purpose: 'a million random calls have the same answers on both engines',
    env: { ORACLE_CALLS: '1000000' },
    command: "npx ava '**/agreement.spec.ts'",
  },
  {
    name: 'divisions',
    minutes: 2,
    purpose: 'the index is divided 1,000 times under readers and writers',
    env: { DIVISIONS: '1000' },
    command: 'cargo test -p cache-machine-core --features kill-steps --tests divided',
  },
  {
    name: 'torture',
    minutes: 60,
    purpose: 'an hour of random operations, kills and stops',
    command: 'npm run torture -- --minutes 60',
  },
  {
    name: 'soak',
    minutes: 60,
    purpose: 'one round of an hour: memory and space stay flat',
    command: 'npm run torture -- --soak --minutes 60',
  },
  {
    name: 'stops',
    minutes: 1,
    purpose: 'a holder is suspended 1,000 times, at any step',
    env: { STOPS: '1000' },
    command: 'cargo test -p cache-machine-core --features kill-steps --tests at_any_step -- --nocapture',
  },
  {
    name: 'races',
    minutes: 2,
    purpose: '10,000 races to open and destroy a segment',
    env: { RACES: '10000' },
    command: 'cargo test -p cache-machine-core --features kill-steps --tests rac -- --nocapture',
  },
  { name: 'models', minutes: 7, purpose: 'all settings of the Spin models', command: 'npm run model' },
  {
    name: 'words',
    minutes: 6,
    purpose: '100 million random words in a segment cause no crash and no hang',
    env: { WORDS: '100000000', SEED: '1' },
    command: 'cargo test -p cache-machine-core --tests random_words -- --nocapture',
  },
  {
    name: 'bits',
    minutes: 10,
    purpose: 'every single bit of a segment is flipped',
    env: { BITS: 'all' },
    command: 'cargo test -p cache-machine-core --tests every_single_bit -- --nocapture',
  },
  {
    name: 'fuzz',
    minutes: 95,
    purpose: 'half an hour of fuzzing for each target',
    command: 'npm run fuzz -- --seconds 1800 --jobs 2',
  },
  { name: 'mutants', minutes: 50, purpose: 'all mutants are noticed', command: 'npm run mutants' },
  { name: 'sanitize', minutes: 30, purpose: 'tests under sanitizers and valgrind', command: 'npm run sanitize' },
]
