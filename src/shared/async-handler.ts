/**
 * Forwards a rejection to `next`: Express 5 does so by itself, Express 4 leaves the request hanging and the rejection
 * unhandled.
 */
export function asyncHandler<Request, Response>(
  handler: (request: Request, response: Response, next: (error?: unknown) => void) => Promise<void>,
): (request: Request, response: Response, next: (error?: unknown) => void) => void {
  return (request, response, next) => {
    handler(request, response, next).catch(next)
  }
}
