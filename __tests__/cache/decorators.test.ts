import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { cacheable, invalidates } from '../../src/cache/index.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { type Peer, peer } from './world.js'

let server: RedisServer
let one: Peer

beforeAll(async () => {
  server = await startRedis()
  one = await peer({ url: server.url })
})
afterAll(async () => {
  await one.close()
  await server.stop()
})

class Products {
  runs = 0
  get cache() {
    return one.cache
  }
  async find(id: number, _filter?: object): Promise<{ id: number; run: number }> {
    return { id, run: ++this.runs }
  }
  async rename(_id: number): Promise<string> {
    return 'renamed'
  }
}

const find = { ttl: '1m', tags: (id: number) => ['products', `product:${id}`] } as const
const rename = { tags: (id: number) => [`product:${id}`] }

/** As TypeScript and Babel call decorators of the standard. */
function standard(): Products {
  class Decorated extends Products {}
  const context = (name: string) => ({ kind: 'method', name }) as unknown as ClassMethodDecoratorContext
  const prototype = Decorated.prototype
  prototype.find = cacheable(find as never)(Products.prototype.find as never, context('find'))
  prototype.rename = invalidates(rename as never)(Products.prototype.rename as never, context('rename'))
  return new Decorated()
}

/** As TypeScript calls them under `experimentalDecorators`. */
function experimental(): Products {
  class Legacy extends Products {}
  for (const [name, decorator] of [
    ['find', cacheable(find as never)],
    ['rename', invalidates(rename as never)],
  ] as const) {
    const descriptor = { value: Products.prototype[name], configurable: true, writable: true }
    decorator(Legacy.prototype, name, descriptor)
    Object.defineProperty(Legacy.prototype, name, descriptor)
  }
  return new Legacy()
}

describe.each([
  ['standard', standard],
  ['experimental', experimental],
])('%s decorators', (_name, make) => {
  it('cache by arguments and invalidate by tags', async () => {
    const products = make()
    expect(await products.find(1, { a: 1, b: 2 })).toEqual({ id: 1, run: 1 })
    expect(await products.find(1, { b: 2, a: 1 })).toEqual({ id: 1, run: 1 })
    expect(await products.find(2)).toEqual({ id: 2, run: 2 })
    expect(await products.rename(1)).toBe('renamed')
    expect((await products.find(1, { a: 1, b: 2 })).run).toBe(3)
    expect((await products.find(2)).run).toBe(2)
  })
})

it('say what is missing', () => {
  const method = cacheable()(async () => 1, { kind: 'method', name: 'x' } as unknown as ClassMethodDecoratorContext)
  expect(() => method.call({})).toThrow(/property `cache`/)
})
