export { isPreferenceValueError, PreferenceConflictError, PreferenceValueError } from './errors.js'
export type { PreferencesOutcome } from './events.js'
export type { LocalTierOptions, PreferencesOptions } from './options.js'
export { createPreferences, type Preferences } from './preferences.js'
