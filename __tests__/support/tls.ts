import { execFile } from 'node:child_process'
import { mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

export interface Certificates {
  ca: string
  cert: string
  key: string
  paths: { ca: string; cert: string; key: string }
  serverArgs: string[]
}

/** A throw-away authority and a certificate it signed for 127.0.0.1 and localhost. */
export async function createCertificates(dir?: string): Promise<Certificates> {
  const folder = dir ?? (await mkdtemp(join(tmpdir(), 'holdfast-tls-')))
  const at = (name: string) => join(folder, name)
  const paths = { ca: at('ca.pem'), cert: at('cert.pem'), key: at('key.pem') }
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']

  await writeFile(at('server.ext'), 'subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth\n')
  await openssl('req', '-x509', ...newKey, '-days', '2', '-subj', '/CN=holdfast test authority', ...keyAndOut('ca'))
  await openssl('req', '-new', ...newKey, '-subj', '/CN=127.0.0.1', '-keyout', paths.key, '-out', at('server.csr'))
  await openssl(
    ...['x509', '-req', '-days', '2', '-in', at('server.csr'), '-extfile', at('server.ext')],
    ...['-CA', paths.ca, '-CAkey', at('ca-key.pem'), '-CAcreateserial', '-out', paths.cert],
  )

  const [ca, cert, key] = await Promise.all([read(paths.ca), read(paths.cert), read(paths.key)])
  const serverArgs = [
    ...['--tls-cert-file', paths.cert, '--tls-key-file', paths.key, '--tls-ca-cert-file', paths.ca],
    ...['--tls-replication', 'no'],
  ]
  return { ca, cert, key, paths, serverArgs }

  function keyAndOut(name: string): string[] {
    return ['-keyout', at(`${name}-key.pem`), '-out', at(`${name}.pem`)]
  }
}

const read = (file: string) => readFile(file, 'utf8')

async function openssl(...args: string[]): Promise<void> {
  try {
    await run('openssl', args)
  } catch (error) {
    throw new Error(`openssl ${args[0]} failed; the TLS tests need the openssl command`, { cause: error })
  }
}
