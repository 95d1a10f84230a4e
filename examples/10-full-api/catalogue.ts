export interface Product {
  readonly id: number
  readonly name: string
  readonly category: string
  readonly price: number
}

/** Stands for a database that takes 50 ms to answer. */
export function createCatalogue(answerMs = 50): {
  list(category?: string): Promise<Product[]>
  find(id: number): Promise<Product | undefined>
  add(product: Omit<Product, 'id'>): Promise<Product>
} {
  const products: Product[] = [
    { id: 1, name: 'Anchor', category: 'deck', price: 120 },
    { id: 2, name: 'Compass', category: 'bridge', price: 80 },
    { id: 3, name: 'Lantern', category: 'deck', price: 35 },
  ]
  const answer = <T>(value: T): Promise<T> => new Promise((resolve) => setTimeout(resolve, answerMs, value))
  return {
    list: (category) => answer(products.filter((each) => category === undefined || each.category === category)),
    find: (id) => answer(products.find((each) => each.id === id)),
    add: (product) => {
      const added = { id: products.length + 1, ...product }
      products.push(added)
      return answer(added)
    },
  }
}
