/** About 1 KB of JSON, as a list of products is. */
export const payload = Array.from({ length: 12 }, (_, id) => ({
  id,
  name: `Product number ${id}`,
  category: id % 2 ? 'deck' : 'bridge',
  price: 10 * id + 0.5,
}))

/** About 50 KB of the same. */
export const large = Array.from({ length: 720 }, (_, id) => ({ ...payload[id % payload.length], id }))
