const BROWSERS: readonly (readonly [RegExp, string])[] = [
  [/\bEdgA?(?:iOS)?\//, 'Edge'],
  [/\bOPR\/|\bOpera\b/, 'Opera'],
  [/\bSamsungBrowser\//, 'Samsung'],
  [/\bFirefox\/|\bFxiOS\//, 'Firefox'],
  [/\bChrome\/|\bCriOS\//, 'Chrome'],
  [/\bSafari\//, 'Safari'],
]

const SYSTEMS: readonly (readonly [RegExp, string])[] = [
  [/\bAndroid\b/, 'Android'],
  [/\biPhone\b|\biPad\b|\biPod\b/, 'iOS'],
  [/\bWindows\b/, 'Windows'],
  [/\bMac OS X\b|\bMacintosh\b/, 'macOS'],
  [/\bCrOS\b/, 'ChromeOS'],
  [/\bLinux\b/, 'Linux'],
]

/** Browser and system without versions: browsers update themselves. Other clients are their first word. */
export function agentFamily(userAgent: string | undefined): string | undefined {
  if (userAgent === undefined) return undefined
  const text = userAgent.slice(0, MAX_LENGTH)
  const find = (list: typeof BROWSERS): string | undefined => list.find(([pattern]) => pattern.test(text))?.[1]
  const browser = find(BROWSERS) ?? /^[\w.-]{1,40}/.exec(text)?.[0] ?? 'other'
  return `${browser}/${find(SYSTEMS) ?? 'other'}`
}

/** Longer headers are no browser's, and patterns need not read them. */
const MAX_LENGTH = 512
