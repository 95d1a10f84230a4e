import express, { type Express } from 'express'
import { type RedisManager, responseCache } from 'holdfast'

interface Product {
  readonly id: number
  readonly name: string
  price: number
}

/** A catalogue whose lists and pages are cached, and forgotten as soon as a price changes. */
export function createApp(redis: RedisManager): Express {
  const catalogue = new Map<number, Product>([
    [1, { id: 1, name: 'Anchor', price: 120 }],
    [2, { id: 2, name: 'Rope', price: 30 }],
  ])

  const list = responseCache({ redis, ttl: '60s', tags: ['products'] })
  const page = responseCache({ redis, ttl: '10m', tags: (req) => ['products', `product:${req.params.id}`] })
  const orders = responseCache({ redis, ttl: '30s', key: (req) => req.get('authorization') ?? null })

  const prices = responseCache({ redis, ttl: '10m', tags: ['products'], compress: true })

  const app = express()

  app.get('/products', list, (_req, res) => {
    res.json([...catalogue.values()])
  })

  app.get('/products/:id', page, (req, res) => {
    const product = catalogue.get(Number(req.params.id))
    if (product === undefined) res.status(404).json({ error: 'no such product' })
    else res.json(product)
  })

  // Long, and asked for by browsers: kept in Brotli and gzip too, each made once and in the background.
  app.get('/prices.csv', prices, (_req, res) => {
    const lines = [...catalogue.values()].flatMap(({ name, price }) =>
      Array.from({ length: 100 }, (_, index) => `${name},${index + 1},${price * (index + 1)}`),
    )
    res.type('text/csv').send(`name,quantity,price\n${lines.join('\n')}\n`)
  })

  // One cached answer per user: without `key`, requests with Authorization are never cached.
  app.get('/orders', orders, (req, res) => {
    res.json({ of: req.get('authorization'), orders: [] })
  })

  app.put('/products/:id/price', express.json(), async (req, res) => {
    const product = catalogue.get(Number(req.params.id))
    if (product === undefined) return void res.sendStatus(404)
    product.price = Number(req.body.price)
    await page.invalidateTags(`product:${product.id}`)
    await list.invalidate('/products')
    res.json(product)
  })

  return app
}
