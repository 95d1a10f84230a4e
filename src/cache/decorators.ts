import type { Cache, Computation } from './cache.js'
import { keyOf } from './key-of.js'
import type { FreshnessOptions } from './options.js'

/** Which cache: given, or the decorated object's property `cache`. */
interface WithCache {
  readonly cache?: Cache | undefined
}

type Args = readonly never[]

export interface CacheableOptions extends FreshnessOptions, WithCache {
  /** @default class and method name with a digest of the arguments, see `keyOf` */
  readonly key?: ((...args: never[]) => string) | undefined
  readonly tags?: readonly string[] | ((...args: never[]) => readonly string[]) | undefined
}

export interface InvalidatesOptions extends WithCache {
  readonly tags: readonly string[] | ((...args: never[]) => readonly string[])
}

type Method = (this: object, ...args: never[]) => unknown
/** The caller awaits the cache, so the method has to be one that is awaited. */
type AsyncMethod = (...args: never[]) => Promise<unknown>

/** Works as a standard decorator and under `experimentalDecorators`, on methods that return promises. */
export interface MethodDecorator {
  <Function extends AsyncMethod>(method: Function, context: ClassMethodDecoratorContext): Function
  <Function extends AsyncMethod>(
    target: object,
    name: string | symbol,
    descriptor: TypedPropertyDescriptor<Function>,
  ): void
}

/**
 * The method's result is cached per arguments. The object itself is not part of the key: give a `key` where its state
 * decides the result.
 *
 * @example
 * ```ts
 * import { type Cache, cacheable, createCache, createRedisManager, invalidates } from 'holdfast'
 *
 * class Products {
 *   readonly cache: Cache = createCache({ redis: createRedisManager(), namespace: 'products' })
 *
 *   @cacheable({ ttl: '1m', key: (id: number) => `product:${id}`, tags: ['products'] })
 *   async find(id: number): Promise<{ id: number }> {
 *     return { id }
 *   }
 *
 *   @invalidates({ tags: ['products'] })
 *   async rename(_id: number, _name: string): Promise<void> {}
 * }
 *
 * await new Products().find(1)
 * ```
 */
export function cacheable({ cache, key, tags, ...options }: CacheableOptions = {}): MethodDecorator {
  return decorate(
    (method, name) =>
      function cached(this: object, ...args: Args): Promise<unknown> {
        const compute: Computation<unknown> = () => method.apply(this, args as never[])
        const owner = this.constructor.name
        const own = key === undefined ? `${owner}.${name}:${keyOf(args)}` : key(...args)
        return cacheOf(this, cache).getOrSet(own, compute, {
          ...options,
          tags: typeof tags === 'function' ? tags(...args) : tags,
        })
      },
  )
}

/** Once the method has succeeded, the tags are invalidated; then its result is returned. */
export function invalidates({ cache, tags }: InvalidatesOptions): MethodDecorator {
  return decorate(
    (method) =>
      async function invalidating(this: object, ...args: Args): Promise<unknown> {
        const result = await method.apply(this, args as never[])
        await cacheOf(this, cache).invalidateTags(...(typeof tags === 'function' ? tags(...args) : tags))
        return result
      },
  )
}

function decorate(wrap: (method: Method, name: string) => Method): MethodDecorator {
  return ((
    target: Method | object,
    context: ClassMethodDecoratorContext | string | symbol,
    descriptor?: PropertyDescriptor,
  ) => {
    if (typeof context === 'object') return wrap(target as Method, String(context.name))
    if (descriptor !== undefined) descriptor.value = wrap(descriptor.value, String(context))
    return undefined
  }) as MethodDecorator
}

function cacheOf(object: object, given: Cache | undefined): Cache {
  const cache = given ?? (object as { cache?: Cache }).cache
  if (typeof cache?.getOrSet !== 'function') {
    throw new TypeError('a decorated object has a property `cache`, or the decorator is given one')
  }
  return cache
}
