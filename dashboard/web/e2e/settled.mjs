// Until a page has come to rest after what was seen on it: a key is heard only by what listens for it already.

/** Two frames later: what is shown has been drawn, has its size, and listens. */
export async function settled(page) {
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done)))));
}
