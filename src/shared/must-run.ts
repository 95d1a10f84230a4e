/**
 * On a request that a middleware has let pass without leaving anything else on it, and wants to see the next time too:
 * nothing behind it is answered before Express (`src/server`). Of the registry of symbols: what a middleware of the
 * CommonJS build says is known to the ESM build as well.
 */
export const mustRunMark: unique symbol = Symbol.for('holdfast.must-run') as never

export function markMustRun(req: object): void {
  ;(req as { [mustRunMark]?: true })[mustRunMark] = true
}
