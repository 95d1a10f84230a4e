/** Most points admitted in any window, by moments of admission in ms and their points. */
export function mostInAnyWindow(admitted: readonly { at: number; points: number }[], windowMs: number): number {
  const sorted = [...admitted].sort((a, b) => a.at - b.at)
  let most = 0
  let sum = 0
  let from = 0
  for (const { at, points } of sorted) {
    sum += points
    for (let oldest = sorted[from]; oldest !== undefined && oldest.at + windowMs <= at; oldest = sorted[from]) {
      sum -= oldest.points
      from++
    }
    most = Math.max(most, sum)
  }
  return most
}
