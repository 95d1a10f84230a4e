import express, { type Express } from 'express'
import { type Cache, createCache, keyOf, type RedisManager } from 'holdfast'

/** Where the products come from: slow, and counted. */
export interface Catalogue {
  find(id: number): Promise<{ id: number; name: string; price: number } | null>
  search(filter: { colour?: string; max?: number }): Promise<readonly number[]>
  setPrice(id: number, price: number): Promise<{ id: number; name: string; price: number }>
}

/** An API whose handlers compute through a cache: values, tags, tenants, statistics. */
export function createApp(redis: RedisManager, catalogueOf: (tenant: string) => Catalogue): Express {
  const cache: Cache = createCache({
    redis,
    namespace: 'catalogue',
    ttl: '5m',
    negativeTtl: '10s',
    staleIfError: '1h',
    local: true,
    fallback: 'memory',
  })
  const app = express()

  app.get('/:tenant/products/:id', async (req, res) => {
    const { tenant, id } = req.params
    const product = await cache
      .scope(tenant)
      .getOrSet(`product:${id}`, () => catalogueOf(tenant).find(Number(id)), { tags: ['products'] })
    if (product === null) res.sendStatus(404)
    else res.json(product)
  })

  app.get('/:tenant/search', async (req, res) => {
    const { tenant } = req.params
    const { colour, max } = req.query
    const filter = {
      ...(typeof colour === 'string' ? { colour } : {}),
      ...(typeof max === 'string' ? { max: Number(max) } : {}),
    }
    const ids = await cache
      .scope(tenant)
      .getOrSet(`search:${keyOf(filter)}`, () => catalogueOf(tenant).search(filter), { ttl: '1m', tags: ['products'] })
    res.json(ids)
  })

  app.put('/:tenant/products/:id/price/:price', async (req, res) => {
    const { tenant, id, price } = req.params
    const products = cache.scope(tenant)
    const product = await catalogueOf(tenant).setPrice(Number(id), Number(price))
    await products.invalidateTags('products')
    res.json(product)
  })

  app.get('/cache', (_req, res) => {
    res.json(cache.stats())
  })

  app.locals.cache = cache
  return app
}
