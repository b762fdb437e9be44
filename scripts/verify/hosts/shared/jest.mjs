/**
 * A suite that Jest runs over TypeScript. Its report has the form of the one of Vitest.
 */
export { countsOf } from './vitest.mjs'

export const jest = { jest: '29.7.0', 'ts-jest': '29.4.15', '@types/jest': '29.5.14', typescript: '5.9.3' }
export const command = ['jest', '--json', '--outputFile=report.json', '--forceExit']

/** The text of a configuration: all tests below the folders `roots`. */
export function configuration(roots) {
  return JSON.stringify({
    preset: 'ts-jest',
    testEnvironment: 'node',
    roots,
    testRegex: String.raw`[.-](spec|test)\.ts$`,
  })
}
