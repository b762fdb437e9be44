/**
 * The rules for imports in lib/, for dependency-cruiser. Type-only imports count as well.
 */
const siblings = '^lib/(near|loading|coordination|metrics)/'

module.exports = {
  forbidden: [
    {
      name: 'no import circles',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'near, loading, coordination and metrics do not import each other',
      severity: 'error',
      from: { path: siblings },
      to: { path: siblings, pathNot: '^lib/$1/' },
    },
    {
      name: 'snapshots do not import the cache, nor what they have no use for',
      severity: 'error',
      from: { path: '^lib/snapshots/' },
      to: { path: '^lib/(cache|near|loading|metrics|messaging|codec|portable)/' },
    },
    {
      name: 'adapters, the dashboard, commands and the module of PM2 do not import the class SharedCache',
      severity: 'error',
      from: { path: '^lib/(adapters|viewing|dashboard|command|pm2)/' },
      to: { path: '^lib/cache/shared-cache' },
    },
    {
      name: 'an adapter imports store interfaces, errors, units, types of options, and what adapters share',
      severity: 'error',
      from: { path: '^lib/adapters/' },
      to: {
        path: '^lib/',
        pathNot: '^lib/(adapters/shared/|cache/store\\.ts$|arguments/|errors\\.ts$)',
        dependencyTypesNot: ['type-only'],
      },
    },
    {
      name: 'an adapter does not import another adapter, nor what adapters share an adapter',
      severity: 'error',
      from: { path: '^lib/adapters/' },
      to: { path: '^lib/adapters/[^/]+$' },
    },
    {
      name: 'adapters import only types of their hosts',
      severity: 'error',
      from: { path: '^lib/adapters/' },
      to: { path: 'node_modules/', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'nothing outside adapters/ imports an adapter',
      severity: 'error',
      from: { pathNot: '^lib/adapters/' },
      to: { path: '^lib/adapters/' },
    },
    {
      name: 'only the entry point of the program opens caches and knows the addon',
      severity: 'error',
      from: { path: '^lib/command/', pathNot: '^lib/command/main\\.ts$' },
      to: { path: '^(index\\.ts$|lib/(native|engine|portable|near|loading|coordination|metrics)/)' },
    },
    {
      name: 'the dashboard opens no caches, and knows no engine',
      severity: 'error',
      from: { path: '^lib/(viewing|dashboard)/' },
      to: { path: '^(index\\.ts$|lib/(native|engine|portable|near|loading|coordination|metrics)/)' },
    },
    {
      name: 'only the dashboard and the command import what viewers share, and only the entry and main.ts the dashboard',
      severity: 'error',
      from: { pathNot: '^(lib/(viewing|dashboard|command)/|dashboard\\.ts$)' },
      to: { path: '^lib/(viewing|dashboard)/' },
    },
    {
      name: 'samples know the segment, messages and store interfaces, and nothing above',
      severity: 'error',
      from: { path: '^lib/sampling/' },
      to: {
        pathNot: '^(lib/(sampling|arguments|engine|native|segment|waiting)/|lib/cache/store\\.ts$|lib/errors\\.ts$)',
      },
    },
    {
      name: 'nothing outside command/ and pm2/ imports a program',
      severity: 'error',
      from: { pathNot: '^lib/(command|pm2)/' },
      to: { path: '^lib/(command|pm2)/' },
    },
    {
      name: 'the portable engine knows the interface of the native one, errors and units, and nothing above',
      severity: 'error',
      from: { path: '^lib/portable/' },
      to: { pathNot: '^lib/(portable/|native/|errors\\.ts$|arguments/units\\.ts$)' },
    },
    {
      name: 'the package does not import its test double',
      severity: 'error',
      from: { path: '^((index|dashboard)\\.ts$|lib/)', pathNot: '^lib/testing/' },
      to: { path: '^(testing\\.ts$|lib/testing/)' },
    },
    {
      name: 'every import is found',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    includeOnly: '^((index|testing|dashboard)\\.ts$|lib/|node_modules/)',
    doNotFollow: { path: 'node_modules/' },
  },
}
