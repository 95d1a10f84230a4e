import type { ServerResponse } from 'node:http'

/**
 * Calls `refund` once, when the response has ended in a way that does not count. The points were taken before the
 * handler ran, so that parallel requests cannot all pass and be counted later. A response cut off by the client never
 * finished: `finished` is false. What `counts` throws must not end the process: the points stay taken.
 */
export function refundUnless(
  res: ServerResponse,
  counts: (finished: boolean) => boolean,
  refund: () => void,
  onError: (error: unknown) => void,
): void {
  const settle = (finished: boolean): void => {
    res.off('finish', onFinish)
    res.off('close', onClose)
    let counted = true
    try {
      counted = counts(finished)
    } catch (error) {
      onError(error)
    }
    if (!counted) refund()
  }
  const onFinish = (): void => settle(true)
  const onClose = (): void => settle(res.writableFinished)
  res.once('finish', onFinish)
  res.once('close', onClose)
}
