/** One version an entry depends on: the entry is valid only while the version under that name is still this one. */
export interface Dependency {
  readonly name: string
  readonly version: string
}

export interface Entry {
  /** What the body is, for the codec that wrote it. */
  readonly flags: number
  /** Milliseconds since the epoch. */
  readonly createdAt: number
  readonly freshUntil: number
  readonly staleUntil: number
  readonly dependencies: readonly Dependency[]
  readonly metadata: Buffer
  readonly body: Buffer
}

/** An entry that was read, as far as it tells it from others under its key. */
export type Seen = Omit<Entry, 'dependencies' | 'body'> & { readonly bodyLength: number }

/*
 * magic 'HF' · frame version · flags · createdAt freshUntil staleUntil (float64) · dependencies metadata body (lengths,
 * uint32) · dependencies (uint16 name length, name, uint8 version length, version)* · metadata · body
 */
const MAGIC = 0x4846
const FRAME_VERSION = 1
const HEAD = 40

export function encodeEntry({ flags, createdAt, freshUntil, staleUntil, dependencies, metadata, body }: Entry): Buffer {
  let size = 0
  for (const { name, version } of dependencies) size += 3 + Buffer.byteLength(name) + version.length
  const frame = Buffer.allocUnsafe(HEAD + size + metadata.length + body.length)
  frame.writeUInt16BE(MAGIC, 0)
  frame[2] = FRAME_VERSION
  frame[3] = flags
  frame.writeDoubleBE(createdAt, 4)
  frame.writeDoubleBE(freshUntil, 12)
  frame.writeDoubleBE(staleUntil, 20)
  frame.writeUInt32BE(size, 28)
  frame.writeUInt32BE(metadata.length, 32)
  frame.writeUInt32BE(body.length, 36)
  let at = HEAD
  for (const { name, version } of dependencies) {
    at = frame.writeUInt16BE(Buffer.byteLength(name), at)
    at += frame.write(name, at)
    at = frame.writeUInt8(version.length, at)
    at += frame.write(version, at, 'latin1')
  }
  at += metadata.copy(frame, at)
  body.copy(frame, at)
  return frame
}

/** Head and metadata of a frame, without its dependencies, of which nothing is said. */
export function encodeFront({ bodyLength, ...entry }: Seen): Buffer {
  const front = encodeEntry({ ...entry, dependencies: [], body: Buffer.alloc(0) })
  front.writeUInt32BE(bodyLength, 36)
  return front
}

/** Reads lists of dependencies. Most are the same as the one before: that one is given again. */
export class DependencyLists {
  #bytes: Buffer = Buffer.alloc(0)
  #list: readonly Dependency[] = []

  read(frame: Buffer, end: number): readonly Dependency[] | undefined {
    if (this.#isAsBefore(frame, end)) return this.#list
    const list = decodeDependencies(frame, end)
    if (list !== undefined) {
      // A copy: the frame is part of a larger reply.
      this.#bytes = Buffer.from(frame.subarray(HEAD, end))
      this.#list = list
    }
    return list
  }

  #isAsBefore(frame: Buffer, end: number): boolean {
    const bytes = this.#bytes
    if (bytes.length !== end - HEAD) return false
    for (let at = 0; at < bytes.length; at++) if (frame[HEAD + at] !== bytes[at]) return false
    return true
  }
}

/** The entry in the frame, its parts sharing the frame's memory; `undefined` for anything that is not exactly one. */
export function decodeEntry(frame: Buffer, lists: DependencyLists = new DependencyLists()): Entry | undefined {
  if (frame.length < HEAD || frame.readUInt16BE(0) !== MAGIC || frame[2] !== FRAME_VERSION) return undefined
  const createdAt = frame.readDoubleBE(4)
  const freshUntil = frame.readDoubleBE(12)
  const staleUntil = frame.readDoubleBE(20)
  if (!(createdAt <= freshUntil && freshUntil <= staleUntil && Number.isFinite(staleUntil))) return undefined
  const bodyEnd = frame.length
  const bodyStart = bodyEnd - frame.readUInt32BE(36)
  const metadataStart = bodyStart - frame.readUInt32BE(32)
  if (metadataStart < HEAD || HEAD + frame.readUInt32BE(28) !== metadataStart) return undefined
  const dependencies = lists.read(frame, metadataStart)
  if (dependencies === undefined) return undefined
  return {
    flags: frame[3] as number,
    createdAt,
    freshUntil,
    staleUntil,
    dependencies,
    metadata: frame.subarray(metadataStart, bodyStart),
    body: frame.subarray(bodyStart, bodyEnd),
  }
}

function decodeDependencies(frame: Buffer, end: number): Dependency[] | undefined {
  const dependencies: Dependency[] = []
  let at = HEAD
  while (at < end) {
    const nameEnd = at + 2 < end ? at + 2 + frame.readUInt16BE(at) : end
    if (nameEnd >= end) return undefined
    const versionEnd = nameEnd + 1 + (frame[nameEnd] as number)
    if (versionEnd > end) return undefined
    dependencies.push({
      name: frame.toString('utf8', at + 2, nameEnd),
      version: frame.toString('latin1', nameEnd + 1, versionEnd),
    })
    at = versionEnd
  }
  return dependencies
}

/** Milliseconds that an entry is of any use from now. */
export function lifeOf({ staleUntil }: Pick<Entry, 'staleUntil'>): number {
  return Math.ceil(staleUntil - Date.now())
}
