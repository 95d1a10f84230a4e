import { createHash, createHmac, hash, randomBytes } from 'node:crypto'

/**
 * `<tag>.<random>`: the tag decides the Cluster slot, so that everything of one user can be changed in one script, and
 * is known from the cookie alone. The 256 random bits are the secret.
 */
const WELL_FORMED = /^[A-Za-z0-9_-]{16}\.[A-Za-z0-9_-]{43}$/
/** What a listing gives instead of the id: enough to find the record, useless in a cookie. */
const HANDLE = /^#([A-Za-z0-9_-]{16}):([A-Za-z0-9_-]{43})$/

export function mintId(tag: string = randomBytes(12).toString('base64url')): string {
  return `${tag}.${randomBytes(32).toString('base64url')}`
}

/** The tag of everything that belongs to a user; without a key whoever reads Redis can test guesses of user ids. */
export function tagOfUser(userId: string, key?: string): string {
  const digest = key === undefined ? createHash('sha256') : createHmac('sha256', key)
  return digest.update(`holdfast:user:${userId}`, 'utf16le').digest('base64url').slice(0, 16)
}

/** Ids that others made, as before a migration, get a tag of their own. */
export function tagOfId(id: string): string {
  return WELL_FORMED.test(id) ? id.slice(0, 16) : digest(`holdfast:tag:${id}`).slice(0, 16)
}

/** What Redis knows of an id: a dump of the database opens no session. */
export function hashOfId(id: string): string {
  return digest(id)
}

export function handleOf(tag: string, hash: string): string {
  return `#${tag}:${hash}`
}

export function parseHandle(text: string): { readonly tag: string; readonly hash: string } | undefined {
  const match = HANDLE.exec(text)
  return match === null ? undefined : { tag: match[1] as string, hash: match[2] as string }
}

/** How events and logs name a session: the same everywhere, and no way back. */
export function referenceOf(hash: string): string {
  return digest(`holdfast:reference:${hash}`).slice(0, 16)
}

function digest(text: string): string {
  // In one call: the object that createHash makes costs more than the hashing.
  return hash('sha256', text, 'base64url')
}
