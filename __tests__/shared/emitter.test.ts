import { createEmitter } from '../../src/shared/emitter.js'
import { harmless, silentLogger } from '../../src/shared/logger.js'

interface Catalogue {
  readonly ping: number
  readonly pong: string
}

function emitter() {
  const errors: unknown[] = []
  return { errors, ...createEmitter<Catalogue>((error) => errors.push(error)) }
}

test('each listener of a type hears each event once, in order', () => {
  const { on, emit, listens } = emitter()
  const heard: string[] = []
  on('ping', (event) => heard.push(`a${event}`))
  on('ping', (event) => heard.push(`b${event}`))
  emit('ping', 1)
  emit('pong', 'nobody listens')
  expect(heard).toEqual(['a1', 'b1'])
  expect([listens('ping'), listens('pong')]).toEqual([true, false])
})

test('leaving is for one subscription, and harmless twice', () => {
  const { on, emit, listens } = emitter()
  let heard = 0
  const listener = (): number => heard++
  const [first, second] = [on('ping', listener), on('ping', listener)]
  first()
  first()
  emit('ping', 1)
  expect(heard).toBe(1)
  second()
  emit('ping', 1)
  expect(heard).toBe(1)
  expect(listens('ping')).toBe(false)
})

test('what a listener throws or rejects with reaches onError, and the others hear the event', async () => {
  const { on, emit, errors } = emitter()
  let heard = 0
  on('ping', () => {
    throw new Error('thrown')
  })
  on('ping', (async () => {
    throw new Error('rejected')
  }) as () => void)
  on('ping', () => heard++)
  emit('ping', 1)
  expect(heard).toBe(1)
  await new Promise(setImmediate)
  expect(errors.map((error) => (error as Error).message)).toEqual(['thrown', 'rejected'])
})

test('a listener may leave, or add another, while it is called', () => {
  const { on, emit } = emitter()
  const heard: string[] = []
  const leave = on('ping', () => {
    heard.push('first')
    leave()
  })
  on('ping', () => heard.push('second'))
  emit('ping', 1)
  emit('ping', 1)
  expect(heard).toEqual(['first', 'second', 'second'])
})

test('a logger that throws is harmless, and keeps its own this', () => {
  const logger = {
    lines: [] as string[],
    info(message: string) {
      this.lines.push(message)
    },
    warn() {
      throw new Error('full')
    },
    error() {},
  }
  const safe = harmless(logger)
  safe.info('hello')
  expect(() => safe.warn('x')).not.toThrow()
  expect(logger.lines).toEqual(['hello'])
  expect(() => silentLogger.error('x')).not.toThrow()
})
