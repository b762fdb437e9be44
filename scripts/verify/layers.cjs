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
      name: 'adapters and tools do not import the class SharedCache',
      severity: 'error',
      from: { path: '^lib/(adapters|tools)/' },
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
      name: 'the portable engine knows the interface of the native one, errors and units, and nothing above',
      severity: 'error',
      from: { path: '^lib/portable/' },
      to: { pathNot: '^lib/(portable/|native/|errors\\.ts$|arguments/units\\.ts$)' },
    },
    {
      name: 'the package does not import its test double',
      severity: 'error',
      from: { path: '^(index\\.ts$|lib/)', pathNot: '^lib/testing/' },
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
    includeOnly: '^((index|testing)\\.ts$|lib/|node_modules/)',
    doNotFollow: { path: 'node_modules/' },
  },
}
