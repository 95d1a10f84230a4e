import { createServer } from 'holdfast/server'
import { createApp } from './app.js'

createServer(createApp()).listen(3000, () => {
  console.log('http://localhost:3000')
})
