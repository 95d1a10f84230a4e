import { types } from 'node:util'
import { isError } from '../shared/errors.js'

/** Standard Schema version 1 (standardschema.dev), by structure: Zod, Valibot, ArkType and others satisfy it. */
export interface StandardSchema<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>
    readonly types?: { readonly input: Input; readonly output: Output } | undefined
  }
}

export type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] }

export interface SchemaIssue {
  readonly message: string
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}

/** What a value is after its schema, or what is wrong with it. */
export type Checked<Output> =
  | { readonly ok: true; readonly value: Output }
  | { readonly ok: false; readonly problem: string }

/** Never throws: a schema that does, or that needs to wait, refuses the value. Waiting would undo the order. */
export function check<Output>(schema: StandardSchema<never, Output> | undefined, value: unknown): Checked<Output> {
  if (schema === undefined) return { ok: true, value: value as Output }
  try {
    const result = schema['~standard'].validate(value)
    if (types.isPromise(result)) {
      result.catch(() => {})
      return { ok: false, problem: 'the schema is asynchronous' }
    }
    const { issues } = result as SchemaResult<Output>
    if (issues === undefined) return { ok: true, value: (result as { value: Output }).value }
    return { ok: false, problem: `does not match its schema at ${placesOf(issues)}` }
  } catch (error) {
    return { ok: false, problem: `the schema threw ${isError(error) ? error.name : typeof error}` }
  }
}

/** Paths only: the messages of some schemas quote the value. */
function placesOf(issues: readonly SchemaIssue[]): string {
  const places = issues.slice(0, 5).map(({ path = [] }) => {
    const keys = path.map((part) => String(typeof part === 'object' ? part.key : part))
    return keys.length === 0 ? 'its top' : `"${keys.join('.').slice(0, 60)}"`
  })
  return [...new Set(places)].join(', ') || 'its top'
}
