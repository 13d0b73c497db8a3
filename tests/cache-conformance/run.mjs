// Runs the public HTTP cache test suite (npm: http-cache-tests) against an edge
// and compares its verdicts with those the package publishes for other caches.
//
//   node run.mjs PACKAGE_DIR EDGE_URL [--id TEST] [--json FILE] [--required N]
//
// Exits with 1 when fewer than N required tests pass, or when a test fails that
// known.json does not name. The origin (server/server.mjs) runs already.

import fs from 'node:fs'
import path from 'node:path'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

const [packageDir, edgeUrl, ...options] = process.argv.slice(2)
const option = name => {
  const at = options.indexOf(name)
  return at < 0 ? undefined : options[at + 1]
}
const load = file => import(pathToFileURL(path.join(packageDir, file)))

const tests = (await load('tests/index.mjs')).default
tests.push((await load('tests/surrogate-control.mjs')).default)
const { determineTestResult } = await load('lib/display.mjs')
const { setFetch, setBaseUrl, setUseBrowserCache } = await load('client/config.mjs')
const { makeCacheTest, testResults: results } = await load('client/test.mjs')
setFetch(createRequire(path.join(packageDir, 'cli.mjs'))('node-fetch'))
setBaseUrl(edgeUrl)
setUseBrowserCache(false)

const all = tests.flatMap(suite => suite.tests).filter(test => !test.browser_only)
const kind = test => test.kind ?? 'required'
const wanted = option('--id')

// Runs tests side by side, so many at once: most of their time is waiting.
async function run (waiting, side) {
  const queue = [...waiting]
  const next = async () => {
    for (let test = queue.shift(); test; test = queue.shift()) {
      delete results[test.id]
      // A copy: the suite adds headers to its own tests while it runs them.
      await makeCacheTest({ ...structuredClone(test), dump: test.id === wanted })
    }
  }
  await Promise.all(Array.from({ length: side }, next))
}

if (wanted) {
  await run(all.filter(test => test.id === wanted), 1)
  console.log(results[wanted])
  process.exit(0)
}
const known = JSON.parse(fs.readFileSync(new URL('known.json', import.meta.url)))
const reasonFor = new Map(tests.flatMap(suite => suite.tests.map(test => [test.id, known[test.id] ?? known[suite.id]])))
await run(all, 60)
// What did not pass, for no reason we know, runs again with less beside it: on a
// busy machine a lifetime of two seconds ends before the second request is sent.
for (const side of [20, 4]) {
  const again = all.filter(test =>
    kind(test) === 'required' && results[test.id] !== true && !reasonFor.get(test.id))
  if (again.length > 0) console.log(`once more, ${side} at a time: ${again.map(test => test.id).join(', ')}`)
  await run(again, side)
}
if (option('--json')) fs.writeFileSync(option('--json'), JSON.stringify(results, null, 2) + '\n')

// The symbols of the package's own verdicts.
const VERDICTS = {
  '✅': 'pass',
  '⛔️': 'fail',
  '⚠️': 'not optimal',
  '🔹': 'setup failed',
  '⁉️': 'harness failed',
  '⚪️': 'needs another',
  '↻': 'retried',
  '-': 'not run',
  Y: 'yes',
  N: 'no'
}
const verdict = (test, of) => VERDICTS[determineTestResult(tests, test.id, of)[2]]
const count = (of, wantedKind, wantedVerdicts) =>
  all.filter(test => kind(test) === wantedKind && wantedVerdicts.includes(verdict(test, of))).length

const surprises = []
for (const suite of tests) {
  for (const test of suite.tests.filter(test => !test.browser_only && kind(test) !== 'check')) {
    const said = verdict(test, results)
    if (said === 'pass') continue
    const reason = reasonFor.get(test.id)
    const because = Array.isArray(results[test.id]) ? results[test.id].join(': ') : ''
    console.log(`${kind(test).padEnd(8)} ${said.padEnd(14)} ${test.id}: ${reason ?? because}`)
    if (!reason && kind(test) === 'required') surprises.push(test.id)
  }
}

const total = wantedKind => all.filter(test => kind(test) === wantedKind).length
const row = (name, of) => {
  const required = count(of, 'required', ['pass'])
  const failed = count(of, 'required', ['fail'])
  const other = total('required') - required - failed
  const optimal = count(of, 'optimal', ['pass'])
  console.log(`${name.padEnd(24)} ${String(required).padStart(8)} ${String(failed).padStart(8)} ${String(other).padStart(10)} ${String(optimal).padStart(8)}`)
  return required
}
console.log(`\n${total('required')} required tests, ${total('optimal')} optional ones, ${total('check')} questions without a right answer`)
console.log(`${''.padEnd(24)} ${'required'.padStart(8)} ${'failed'.padStart(8)} ${'no verdict'.padStart(10)} ${'optional'.padStart(8)}`)
const required = row('selvedge', results)
const published = (await load('results/index.mjs')).default.filter(entry => entry.type !== 'browser')
for (const entry of published) {
  row(`${entry.name} ${entry.version}`.slice(0, 24), JSON.parse(fs.readFileSync(path.join(packageDir, 'results', entry.file))))
}
console.log('(the other rows are the results this version of the suite publishes; it has none for Caddy)')

const minimum = Number(option('--required') ?? 0)
if (required < minimum) console.log(`\n${required} required tests pass, ${minimum} did before`)
if (surprises.length > 0) console.log(`\nnot passed, and not in known.json: ${surprises.join(', ')}`)
process.exit(required < minimum || surprises.length > 0 ? 1 : 0)
