import type { ListedSession } from 'holdfast/session'

export function loginPage(message = 'Log in'): string {
  return page(
    message,
    `<form method="post" action="/login"><label>Name <input name="name" autofocus required></label> <button>Log in</button></form>`,
  )
}

interface Account {
  readonly userId: string
  readonly visits: number
  readonly devices: readonly ListedSession[]
}

export function accountPage({ userId, visits, devices }: Account): string {
  const rows = devices.map(
    ({ handle, device, address, lastSeen, current }) => `<tr>
      <td>${safe(device)}</td><td>${safe(address ?? '')}</td><td>${lastSeen.toLocaleString()}</td>
      <td>${current ? 'this device' : button('/devices/logout', 'Log out', handle)}</td></tr>`,
  )
  return page(
    `Hello ${userId}`,
    `<p>Visit ${visits} of this session.</p>
    <table><tr><th>Device</th><th>Address</th><th>Last seen</th><th></th></tr>${rows.join('')}</table>
    ${button('/devices/logout-others', 'Log out all others')} ${button('/logout', 'Log out')}`,
  )
}

function button(action: string, label: string, device = ''): string {
  const field = device === '' ? '' : `<input type="hidden" name="device" value="${safe(device)}">`
  return `<form method="post" action="${action}">${field}<button>${label}</button></form>`
}

function page(title: string, body: string): string {
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>${safe(title)}</title>
  <style>body{font:16px system-ui;max-width:45rem;margin:3rem auto}td,th{padding:.4rem 1rem .4rem 0;text-align:left}form{display:inline}</style>
  <h1>${safe(title)}</h1>${body}</html>`
}

function safe(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}
