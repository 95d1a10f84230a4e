export type Turns = Map<string, Promise<unknown>>

/** Runs tasks of one name one after the other, whatever becomes of each. */
export function inTurn<T>(turns: Turns, name: string, task: () => Promise<T>): Promise<T> {
  const before = turns.get(name)
  const own = before === undefined ? task() : before.then(task, task)
  turns.set(name, own)
  const leave = (): void => {
    if (turns.get(name) === own) turns.delete(name)
  }
  own.then(leave, leave)
  return own
}
