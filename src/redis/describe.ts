import { isError } from '../shared/errors.js'

/**
 * What went wrong, fit for logs and health answers: no host names, no arguments, no passwords. An old server that is
 * sent `HELLO 3 AUTH user password` quotes all of it back in its error.
 */
export function describe(error: unknown): string {
  if (!isError(error)) return 'an unknown error'
  const { code, syscall, lastNodeError } = error as Error & {
    code?: unknown
    syscall?: string
    lastNodeError?: unknown
  }
  // A Cluster's own error only says that every node failed.
  if (isError(lastNodeError)) return describe(lastNodeError)
  if (typeof code === 'string') return syscall === undefined ? code : `${syscall} ${code}`
  if (error.name === 'ReplyError') return describeReply(error.message)
  // ioredis puts its reasons, which name hosts, behind the first sentence.
  return error.message.split(/\.(?: |$)|:/, 1)[0] || error.name
}

/** Servers before 7 put what a command of a script answered behind this. */
const FROM_SCRIPT = /^ERR Error running script \(call to \w+\): (?:@\w+: ?\d+: )+-?/

/** An error reply as the command that failed gave it, whether or not a script had sent that command. */
export function replyText(message: string): string {
  return message.replace(FROM_SCRIPT, '')
}

/** First word of an error reply: `WRONGTYPE`, `OOM`, `NOPERM`, `ERR`. */
export function replyKind(message: string): string {
  return /^[A-Z]+(?= |$)/.exec(replyText(message))?.[0] ?? 'ERR'
}

/** The server is too old for the command. */
export function isUnknownCommand(error: Error): boolean {
  return /^ERR unknown command/i.test(replyText(error.message))
}

function describeReply(message: string): string {
  const kind = replyKind(message)
  return kind === 'ERR' ? (message.split(/['"`,]/, 1)[0]?.trim() ?? kind) : kind
}

/** ioredis hangs the command with its arguments onto errors, and Redis quotes those of a command it does not know. */
export function withoutArguments(error: Error): Error {
  const copy = new Error(cut(error.message))
  copy.name = error.name
  if (error.stack !== undefined) copy.stack = cut(error.stack)
  return copy
}

function cut(text: string): string {
  return text.replace(/, with args beginning with:.*/g, '')
}

/** Where an error was thrown, without its message: that of a JSON error quotes the data. */
export function placeOf(error: unknown): string {
  const frame = isError(error) ? /^ {4}(at .*)$/m.exec(error.stack ?? '')?.[1] : undefined
  return frame ?? 'somewhere'
}
