// What several cases share: what is recorded, and moving the page about without loading it again.

/** The process of that name, or the one with most polls. */
export async function findProcess(url, app = null) {
  const { processes } = await (await fetch(new URL("/api/v1/processes", url))).json();
  const found = processes.filter((it) => app == null || it.app === app).sort((a, b) => b.polls - a.polls)[0];
  if (!found) throw new Error(`nothing is recorded${app ? ` of ${app}` : ""}`);
  return { process: found.process, polls: found.polls, from: BigInt(found.started_at), to: BigInt(found.last_at) };
}

export function timelinePath(process, from, to) {
  return `/timeline?process=${process}&from=${from}&to=${to}`;
}

/** Goes to another address of the page, as Back and Forward do. */
export async function jump(page, path) {
  await page.evaluate((to) => {
    history.pushState(null, "", to);
    dispatchEvent(new PopStateEvent("popstate"));
  }, path);
}

/** Numbers between 0 and 1 that are the same every time. */
export function randomNumbers(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Until the page has asked for nothing for a while, and its lanes are drawn. */
export async function settled(page) {
  await page.getByTestId("timeline-canvas").waitFor();
  await page.waitForFunction(() => document.querySelector("[data-testid=timeline-canvas]")?.dataset.frameMs != null);
  await page.waitForLoadState("domcontentloaded");
  await page.waitForFunction(
    () => {
      const last = Math.max(0, ...performance.getEntriesByType("resource").map((entry) => entry.responseEnd));
      return performance.now() - last > 400;
    },
    null,
    { timeout: 60_000 },
  );
}
