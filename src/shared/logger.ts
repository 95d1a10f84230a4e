/** Where Holdfast writes the few lines an operator should see. `console` and pino both fit. */
export interface Logger {
  info(message: string): void
  warn(message: string): void
  error(message: string): void
}

export const silentLogger: Logger = { info: () => {}, warn: () => {}, error: () => {} }
