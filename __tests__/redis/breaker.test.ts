import fc from 'fast-check'
import { type Breaker, CLOSED, onAnswer, onConnect, onMiss, onProbe, onProbeResult } from '../../src/redis/breaker.js'

const suspicious: Breaker = { state: 'closed', misses: 2 }
const open: Breaker = { state: 'open' }
const halfOpen: Breaker = { state: 'half-open' }

const transitions: [string, (breaker: Breaker) => Breaker, Breaker, Breaker][] = [
  ['an answer while closed', onAnswer, CLOSED, CLOSED],
  ['an answer after misses', onAnswer, suspicious, CLOSED],
  ['a straggler while open', onAnswer, open, open],
  ['a straggler during a probe', onAnswer, halfOpen, halfOpen],
  ['a first miss', (breaker) => onMiss(breaker, 3), CLOSED, { state: 'closed', misses: 1 }],
  ['the last miss', (breaker) => onMiss(breaker, 3), suspicious, open],
  ['a miss with a threshold of one', (breaker) => onMiss(breaker, 1), CLOSED, open],
  ['a miss while open', (breaker) => onMiss(breaker, 3), open, open],
  ['a miss during a probe', (breaker) => onMiss(breaker, 3), halfOpen, halfOpen],
  ['a probe while open', onProbe, open, halfOpen],
  ['a probe while closed', onProbe, suspicious, suspicious],
  ['an answered probe', (breaker) => onProbeResult(breaker, true), halfOpen, CLOSED],
  ['a probe that failed', (breaker) => onProbeResult(breaker, false), halfOpen, open],
  ['the result of a probe that only confirmed', (breaker) => onProbeResult(breaker, false), suspicious, suspicious],
  ['a new connection', onConnect, suspicious, open],
]
test.each(transitions)('%s', (_name, transition, before, after) => {
  expect(transition(before)).toEqual(after)
})

test('it opens exactly at the threshold of misses in a row, and only an answered probe closes it', () => {
  const step = fc.constantFrom('answer', 'miss', 'probe', 'pong', 'silence')
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 10 }), fc.array(step, { maxLength: 100 }), (threshold, steps) => {
      let breaker: Breaker = CLOSED
      let missesInARow = 0
      for (const each of steps) {
        const before: string = breaker.state
        if (each === 'answer') breaker = onAnswer(breaker)
        else if (each === 'miss') breaker = onMiss(breaker, threshold)
        else if (each === 'probe') breaker = onProbe(breaker)
        else breaker = onProbeResult(breaker, each === 'pong')

        if (before !== 'closed') expect(breaker.state === 'closed').toBe(each === 'pong')
        else {
          if (each === 'miss') missesInARow++
          if (each === 'answer') missesInARow = 0
          expect(breaker.state).toBe(missesInARow >= threshold ? 'open' : 'closed')
        }
        if (breaker.state !== 'closed' || before !== 'closed') missesInARow = 0
      }
    }),
  )
})
