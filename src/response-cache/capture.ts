import type { ServerResponse } from 'node:http'
import { type HeaderList, valuesOf } from './headers.js'
import { withoutLabels } from './labels.js'
import type { Refusal } from './policy.js'
import { headersOf } from './sent.js'

export interface Head {
  readonly status: number
  readonly headers: HeaderList
}

export interface CaptureHooks {
  readonly maxBytes: number
  /** Called just before the head is sent. `'not-modified'` sends 304 in place of the handler's 200. */
  readonly onHead: (head: Head) => Refusal | 'capture' | 'not-modified' | Replacement
  /** A {@link Replacement} may be asked for: the head is then decided before anything of the body is sent. */
  readonly mayReplace: boolean
  /** The client has gone before there was a head. What the handler makes yet is as good as any. */
  readonly onAbandoned: () => void
  /** Called once, where the handler comes to an end: with the whole response, exactly as the handler made it, or with why there is none. */
  readonly onDone: (result: { readonly head: Head; readonly body: Buffer } | { readonly refused: Refusal }) => void
}

/** Another answer in place of the handler's. */
export interface Replacement {
  /** Sets status and headers; returns the body, if there is one. */
  readonly replace: () => Buffer | undefined
}

/**
 * Watches a response on its way out, at the three methods everything else goes through. What the handler wrote is seen
 * before middlewares mounted earlier (compression) change it; cookies that they add while the head is sent
 * (sessions) are seen too.
 */
export function capture(
  res: ServerResponse,
  { maxBytes, mayReplace, onHead, onAbandoned, onDone }: CaptureHooks,
): void {
  const { writeHead, write, end } = res
  let chunks: Buffer[] = []
  let size = 0
  let head: Head | undefined
  let refused: Refusal | undefined
  let done = false
  let abandoned = false
  let instead: { readonly body: Buffer | undefined } | undefined

  function refuse(reason: Refusal): void {
    refused ??= reason
    chunks = []
  }

  function finish(): void {
    if (done) return
    done = true
    res.off('close', onClose)
    if (refused === undefined && head === undefined) refused = 'aborted'
    const length = head === undefined ? [] : valuesOf(head.headers, 'content-length')
    if (refused === undefined && length.some((each) => Number(each) !== size)) refused = 'length'
    if (refused !== undefined) return onDone({ refused })
    const body = chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks, size)
    onDone({ head: head as Head, body })
  }

  function onClose(): void {
    if (head === undefined && !done) {
      abandoned = true
      onAbandoned()
      return
    }
    refuse('aborted')
    finish()
  }

  function keep(chunk: unknown, encoding: unknown, copy: boolean): void {
    if (refused !== undefined || done) return
    let bytes: Buffer
    if (typeof chunk === 'string') {
      bytes = Buffer.from(chunk, typeof encoding === 'string' ? (encoding as BufferEncoding) : 'utf8')
    } else if (chunk instanceof Uint8Array) {
      // The caller may fill its buffer anew as soon as write() returns.
      bytes = copy ? Buffer.from(chunk) : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    } else return
    size += bytes.length
    if (size > maxBytes) refuse('too-large')
    else if (bytes.length > 0) chunks.push(bytes)
  }

  res.writeHead = function (this: ServerResponse, status: number, ...rest: unknown[]) {
    if (res.headersSent || done) return Reflect.apply(writeHead, res, [status, ...rest])
    const sent: Head = { status, headers: headersOf(res, rest.at(-1)) }
    const verdict = onHead(sent)
    if (typeof verdict === 'object') {
      refuse('replaced')
      head = sent
      instead = { body: verdict.replace() }
      res.statusMessage = ''
      Reflect.apply(writeHead, res, [res.statusCode])
      return res
    }
    if (verdict !== 'capture' && verdict !== 'not-modified') refuse(verdict)
    if (verdict === 'not-modified') sendNotModified(res, writeHead, sent.headers)
    else Reflect.apply(writeHead, res, [status, ...withoutLabels(res, rest)])
    head = sent
    if (res.getHeader('set-cookie') !== undefined) refuse('set-cookie')
    return res
  } as ServerResponse['writeHead']

  res.write = function (this: ServerResponse, chunk: unknown, encoding?: unknown, ...rest: unknown[]) {
    if ((mayReplace || abandoned) && !res.headersSent) res.writeHead(res.statusCode)
    if (instead !== undefined) {
      const callback = [encoding, ...rest].find((each) => typeof each === 'function')
      if (callback !== undefined) queueMicrotask(callback as () => void)
      return true
    }
    keep(chunk, encoding, true)
    return Reflect.apply(write, res, [chunk, encoding, ...rest])
  } as ServerResponse['write']

  res.end = function (this: ServerResponse, chunk?: unknown, encoding?: unknown, ...rest: unknown[]) {
    // To a client that is gone Node sends no head.
    if ((mayReplace || abandoned) && !res.headersSent) {
      announceLength(res, chunk, encoding)
      res.writeHead(res.statusCode)
    }
    if (instead !== undefined) {
      const callback = [chunk, encoding, ...rest].find((each) => typeof each === 'function')
      const result = Reflect.apply(
        end,
        res,
        [instead.body, callback].filter((each) => each !== undefined),
      )
      finish()
      return result
    }
    keep(chunk, encoding, false)
    const result = Reflect.apply(end, res, [chunk, encoding, ...rest])
    finish()
    return result
  } as ServerResponse['end']

  res.on('close', onClose)
}

/** What Node does by itself where the head is sent by end(). */
function announceLength(res: ServerResponse, chunk: unknown, encoding: unknown): void {
  if (res.hasHeader('content-length') || res.hasHeader('transfer-encoding')) return
  if (res.statusCode === 204 || res.statusCode === 304 || res.req.method === 'HEAD') return
  const text = typeof chunk === 'string'
  const length = text
    ? Buffer.byteLength(chunk, typeof encoding === 'string' ? (encoding as BufferEncoding) : 'utf8')
    : chunk instanceof Uint8Array
      ? chunk.byteLength
      : 0
  res.setHeader('Content-Length', length)
}

/** Node drops the body of a 304 by itself; its length must not be announced (RFC 9110 §15.4.5). */
function sendNotModified(res: ServerResponse, writeHead: ServerResponse['writeHead'], headers: HeaderList): void {
  for (const [name, value] of headers) res.setHeader(name, value as string | string[])
  for (const name of ['Content-Length', 'Transfer-Encoding']) res.removeHeader(name)
  withoutLabels(res, [])
  res.statusMessage = ''
  Reflect.apply(writeHead, res, [304])
}
