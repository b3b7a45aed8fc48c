// How many bytes the browser has to fetch before there is a page.

import { gzipSync } from "node:zlib";

/** `shell`: what `index.html` names. The rest is fetched on top until the overview is there. */
export async function shell({ job, newPage, row }) {
  const page = await newPage();
  const files = [];
  const fetched = (response) => {
    const { pathname } = new URL(response.url());
    if (!pathname.startsWith("/api/")) files.push({ pathname, body: response.body() });
  };
  page.on("response", fetched);
  const seen = page.getByTestId("verdict").or(page.getByTestId("first-run")).first();
  await page.goto(job.url);
  await seen.waitFor();
  page.off("response", fetched);
  const sizes = new Map();
  for (const { pathname, body } of files) sizes.set(pathname, (await body).length && gzipSync(await body).length);
  const named = new Set(["/", ...(await page.evaluate(() => [...document.querySelectorAll("head script[src], head link[rel=modulepreload], head link[rel=stylesheet]")].map((it) => new URL(it.src ?? it.href).pathname)))]);
  // Lazy pages add their own chunks to the head while they load: those are not in the file.
  const html = (await (await fetch(job.url)).text()).toString();
  const sum = (isCounted) => [...sizes].filter(([name]) => isCounted(name)).reduce((total, [, size]) => total + size, 0) / 1000;
  row("index.html and what it names, gzipped", "kB", [sum((name) => name === "/" || (named.has(name) && html.includes(name)))], { judged: true });
  row("all until the overview is shown, gzipped", "kB", [sum(() => true)]);
  const wire = await page.evaluate(() => [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")].filter((it) => !it.name.includes("/api/")).reduce((total, it) => total + it.transferSize, 0) / 1000);
  row("the same as it was sent", "kB", [wire]);
}
