/**
 * Lets Node.js run the TypeScript of the tests; `--import` loads it. Node.js does so by itself from version 24 on, on
 * every platform. Older versions need a loader: they lack type stripping or `using`.
 */
if (Number.parseInt(process.versions.node, 10) < 24) await import('@oxc-node/core/register')
