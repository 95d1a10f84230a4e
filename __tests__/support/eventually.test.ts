import { eventually } from './eventually.js'

test('answers what the check answered once it stops failing', async () => {
  let tries = 0
  const answer = await eventually(() => {
    tries++
    if (tries < 3) throw new Error('too early')
    return tries
  })
  expect(answer).toBe(3)
})

test('rethrows the last failure', async () => {
  const check = () => {
    throw new Error('never')
  }
  await expect(eventually(check, { within: 50 })).rejects.toThrow('never')
})

test('false counts as not yet', async () => {
  await expect(eventually(() => false, { within: 50 })).rejects.toThrow('still false')
})

test('gives up on a check that hangs', async () => {
  await expect(eventually(() => new Promise(() => {}), { within: 50 })).rejects.toThrow('nothing happened')
})
