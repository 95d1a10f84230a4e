/** Requests that were answered before Express saw them, by the apps of this file of tests. */
export const inFront: { count: number } = { count: 0 }
