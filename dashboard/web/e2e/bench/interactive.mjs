// From the start of the navigation until the page can be used, by the browser's own clock.

/** Notes when something is there, painted, and the main thread is free to answer to input. */
function watch(selectors) {
  window.usableAt = {};
  const look = () => {
    for (const [name, selector] of Object.entries(selectors)) {
      if (name in window.usableAt || !document.querySelector(selector)) continue;
      window.usableAt[name] = null;
      requestAnimationFrame(() => {
        const { port1, port2 } = new MessageChannel();
        port1.onmessage = () => (window.usableAt[name] = performance.now());
        port2.postMessage(null);
      });
    }
  };
  new MutationObserver(look).observe(document, { childList: true, subtree: true });
}

const SELECTORS = { frame: "nav a[href]", overview: "[data-testid=verdict]" };

export async function interactive({ job, newPage, row }) {
  const measured = { cold: [], warm: [] };
  for (let run = 0; run < job.runs; run += 1) {
    const page = await newPage();
    await page.addInitScript(watch, SELECTORS);
    // A new context has nothing in its cache; the second visit has all of the shell.
    for (const visits of [measured.cold, measured.warm]) {
      await page.goto(job.url, { waitUntil: "load" });
      await page.waitForFunction((names) => names.every((name) => window.usableAt[name] != null), Object.keys(SELECTORS));
      visits.push(await page.evaluate(() => ({ ...window.usableAt, paint: performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? 0 })));
    }
    await page.context().close();
  }
  const of = (visits, key) => visits.map((visit) => visit[key]);
  row("first visit, overview with its verdict", "ms", of(measured.cold, "overview"), { judged: true });
  row("first visit, navigation answers", "ms", of(measured.cold, "frame"));
  row("first visit, first contentful paint", "ms", of(measured.cold, "paint"));
  row("next visit, overview with its verdict", "ms", of(measured.warm, "overview"));
}
