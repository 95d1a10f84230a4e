import { createRedisManager } from 'holdfast'
import { createApp } from './app.js'

const { DEVICE_SECRET, SIGNING_KEY } = process.env
if (DEVICE_SECRET === undefined || SIGNING_KEY === undefined) {
  console.warn('DEVICE_SECRET and SIGNING_KEY are not set: using values that everybody knows, for trying out only')
}
const redis = createRedisManager({ keyPrefix: 'example' })
const app = createApp(redis, {
  secret: DEVICE_SECRET ?? 'everybody knows this secret',
  signingKey: SIGNING_KEY ?? 'everybody knows this signing key, all of it',
  onAlert: ({ detector, subject, enforced }) =>
    console.warn(`alert: ${detector} by ${subject.kind}, enforced: ${enforced}`),
})
app.listen(3000, () => {
  console.log(
    `for i in $(seq 12); do curl -s localhost:3000/login -H 'content-type: application/json' -d '{"email":"ann@example.test","password":"guess '$i'"}'; done`,
  )
  console.log('curl -s localhost:3000/restrictions; curl -s localhost:3000/audit.csv')
})
