import { connect } from 'node:net'

const [port, users] = process.argv.slice(2).map(Number)
let events = 0
let open = 0

/** Counts the events of all streams: raw sockets, so that the clients cost less than the server. */
for (let user = 0; user < users; user++) {
  const socket = connect(port, '127.0.0.1')
  socket.write(`GET /events?user=u${user} HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\n\r\n`)
  let rest = ''
  socket.once('data', () => {
    if (++open === users) process.send({ open })
  })
  socket.on('data', (chunk) => {
    const text = rest + chunk.toString('latin1')
    const marker = '"sku":"anchor"'
    for (let at = text.indexOf(marker); at >= 0; at = text.indexOf(marker, at + 1)) events++
    const from = text.lastIndexOf(marker)
    rest = from < 0 ? text.slice(-marker.length + 1) : text.slice(from + marker.length).slice(-marker.length + 1)
  })
  socket.on('error', () => {})
}

setInterval(() => process.send({ events }), 5)
