// A suite of real servers on a shared machine of two cores meets stalls that are nobody's fault. The reporter names
// every test that needed its second try: each is a test, or the code, to be mended.
if (process.env.CI) jest.retryTimes(1, { logErrorsBeforeRetry: true })
