/** A middleware as the documentation of rate-limiter-flexible has it, with the usual headers. */
export function flexible(limiter) {
  return (req, res, next) => {
    limiter.consume(req.ip).then(
      (result) => {
        headers(res, limiter.points, result)
        next()
      },
      (result) => {
        if (result instanceof Error) return next(result)
        headers(res, limiter.points, result)
        res.setHeader('Retry-After', Math.ceil(result.msBeforeNext / 1000))
        res.status(429).send('Too Many Requests')
      },
    )
  }
}

function headers(res, limit, { remainingPoints, msBeforeNext }) {
  res.setHeader('X-RateLimit-Limit', limit)
  res.setHeader('X-RateLimit-Remaining', remainingPoints)
  res.setHeader('X-RateLimit-Reset', Math.ceil((Date.now() + msBeforeNext) / 1000))
}
