/** Where Holdfast writes the few lines an operator should see. `console` and pino both fit. */
export interface Logger {
  info(message: string): void
  warn(message: string): void
  error(message: string): void
}

export const silentLogger: Logger = { info: () => {}, warn: () => {}, error: () => {} }

/** A logger whose transport has died must not take the connection's event handlers with it. */
export function harmless(logger: Logger): Logger {
  const guarded =
    (level: keyof Logger) =>
    (message: string): void => {
      try {
        logger[level](message)
      } catch {
        // There is nowhere left to say it.
      }
    }
  return { info: guarded('info'), warn: guarded('warn'), error: guarded('error') }
}
