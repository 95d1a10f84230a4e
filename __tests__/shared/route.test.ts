import { expect, it } from '@jest/globals'
import fc from 'fast-check'
import { routePattern } from '../../src/shared/route.js'

it.each<[string, object | undefined, string, string]>([
  ['', undefined, '/users/:id', '/users/:id'],
  ['/api/v2', {}, '/users/:id', '/api/v2/users/:id'],
  ['/oauth2-callback', {}, '/', '/oauth2-callback/'],
  ['/users/42', {}, '/orders', '/users/:id/orders'],
  ['/users/ann%40example.com', {}, '/orders', '/users/:id/orders'],
  ['/users/01ARZ3NDEKTSV4RRFFQ69G5FAV', {}, '/orders', '/users/:id/orders'],
  ['/shops/bakery', { shop: 'bakery' }, '/items', '/shops/:shop/items'],
  ['/shops/caf%C3%A9', { shop: 'café' }, '/items', '/shops/:shop/items'],
  ['/users', { id: 'users' }, '/:id', '/users/:id'],
  ['/bad/%E0%A4%A', {}, '/x', '/bad/:id/x'],
])('below %s with %j, %s is %s', (baseUrl, params, path, pattern) => {
  expect(routePattern({ baseUrl, params, route: { path } })).toBe(pattern)
})

it('is undefined where no route matched, or one without a pattern', () => {
  expect(routePattern({ baseUrl: '/a' })).toBeUndefined()
  expect(routePattern({ baseUrl: '/a', route: { path: /x/ } })).toBeUndefined()
  expect(routePattern({ baseUrl: '/a', route: { path: ['/x', '/y'] } })).toBeUndefined()
})

it('never throws, and keeps the number of segments', () => {
  fc.assert(
    fc.property(fc.webPath(), fc.dictionary(fc.stringMatching(/^\w+$/), fc.string()), (baseUrl, params) => {
      const pattern = routePattern({ baseUrl, params, route: { path: '/end' } }) as string
      expect(pattern.split('/').length).toBe(`${baseUrl}/end`.split('/').length)
    }),
  )
})
