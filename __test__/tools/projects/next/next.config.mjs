/** The line that keeps the package out of the bundles, but for the cases that show what happens without it. */
const external = process.env.BUNDLED === undefined ? { serverExternalPackages: ['cache-machine'] } : {}

export default { ...(process.env.STANDALONE !== undefined && { output: 'standalone' }), ...external }
