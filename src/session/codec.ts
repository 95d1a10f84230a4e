/** What a sealed text belongs to. It opens nowhere else: not in another session, another field, another version. */
export interface Place {
  readonly record: string
  /** Salt of the session's own key. */
  readonly hash: string
  readonly kind: string
  readonly version: number
}

export type Opened =
  | { readonly text: string; readonly outdated: boolean }
  /** `corrupt`: nobody can read it. `unknown key`: another node of the fleet can. */
  | { readonly problem: 'corrupt' | 'unknown key' }

/** Turns text into what Redis keeps, and back. */
export interface Codec {
  /** Whether what it seals is bytes and not text: then they must be read as Buffers, which cost more. */
  readonly binary: boolean
  seal(text: string, place: Place): Buffer
  open(sealed: Buffer | string, place: Place): Opened
}

/** Stores JSON as it is. */
export const plainCodec: Codec = {
  binary: false,
  seal: (text) => Buffer.from(text, 'utf8'),
  open(sealed) {
    const text = sealed.toString()
    // An envelope of encryption.ts starts with a byte that no JSON starts with.
    return text.startsWith('\u0001') ? { problem: 'unknown key' } : { text, outdated: false }
  },
}

export function isUnknownKey(opened: Opened): boolean {
  return 'problem' in opened && opened.problem === 'unknown key'
}
