/**
 * Every event of Holdfast by its type. The ground floor declares its own here; each feature adds its rows in its
 * `events.ts` by declaration merging, so that a new feature is a new folder and no list of all features exists.
 */
export interface EventCatalogue {
  /** Something an operator should read once: a stable code and a sentence. */
  readonly warning: { readonly code: string; readonly message: string }
  /** Bytes under one of our keys that we did not write or cannot read; they were treated as absent. */
  readonly 'data.corrupt': { readonly feature: string; readonly problem: string }
}
