/**
 * BullMQ refuses ids with colons and takes whole numbers for its own. Percent-encoding keeps every id readable and
 * apart from every other.
 */
export function encodeId(id: string): string {
  const encoded = id.replace(/[%:]/g, percent)
  return /^\d+$/.test(encoded) ? percent(encoded) + encoded.slice(1) : encoded
}

export function decodeId(encoded: string): string {
  return encoded.replace(/%([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
}

function percent(text: string): string {
  return `%${text.charCodeAt(0).toString(16).padStart(2, '0')}`
}
