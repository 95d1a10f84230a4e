import { faults, holdfast, inject, plain } from '../__tests__/session/faults.js'

/** Prints the table of docs/session.md: what each fault does to users who are logged in, on either stack. */
console.log(
  '| fault | stack | worst | usual | 5xx | no answer in 3 s | log-ins with a broken cookie | session of before |',
)
console.log('|---|---|---|---|---|---|---|---|')
for (const fault of faults) {
  for (const candidate of [holdfast, plain]) {
    const { worstMs, usualMs, errors, hung, brokenLogins, session, revived } = await inject(candidate, fault)
    const fate = revived ? `${session}; one that logged out came back` : session
    const times = `${worstMs} ms | ${usualMs} ms`
    console.log(`| ${fault.name} | ${candidate.name} | ${times} | ${errors} | ${hung} | ${brokenLogins} | ${fate} |`)
  }
}
process.exit()
