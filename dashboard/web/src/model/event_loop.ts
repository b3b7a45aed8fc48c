//! `loopd_agent::EventLoop`, which runs on tokio and yet has what loops of asyncio have.

/** Whether a loop is one, by what its agent says of it. */
export function isEventLoop(loop: { readonly flavor: string }): boolean {
  return loop.flavor === "loopd EventLoop";
}
