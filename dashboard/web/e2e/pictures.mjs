// Takes a picture of every page and of all that can be open on it, light and dark, and of each page at other widths:
//   node e2e/pictures.mjs http://127.0.0.1:7411 /tmp/screenshots [NAME…]
// To be looked at: spacing, alignment, overlap, truncation, contrast. What has nothing recorded is in the pictures of e2e/states.mjs.

import { setTheme, settled, startWalk, until } from "./browser.mjs";
import { findSubjects, scenesOf, show } from "./scenes.mjs";

const [base, out = "screenshots", ...names] = process.argv.slice(2);
if (!base) {
  console.error("usage: node e2e/pictures.mjs BASE_URL [SCREENSHOT_DIR] [NAME…]");
  process.exit(2);
}
const USUAL = { width: 1440, height: 900 };
const OTHERS = [{ width: 1280, height: 800 }, { width: 1920, height: 1080 }, { width: 800, height: 900 }];

const walk = await startWalk(base, out);
const page = await walk.newPage();
for (const scene of scenesOf(await findSubjects(base))) {
  if (names.length > 0 && !names.includes(scene.name)) continue;
  const mayComplain = scene.name === "query-wrong" ? /\/api\/v1\/query|status of 4\d\d/ : null;
  await walk.step(scene.name, page, async () => {
    await page.setViewportSize(USUAL);
    await show(scene, page, walk.open);
    await picture(`${scene.name}-light`);
    await setTheme(page, "dark");
    await picture(`${scene.name}-dark`);
    await setTheme(page, "light");
    for (const size of scene.isMain ? OTHERS : []) {
      await page.setViewportSize(size);
      await picture(`${scene.name}-${size.width}`);
    }
  }, { mayComplain });
}
await walk.finish();

async function picture(name) {
  // Canvases draw in the next frame, and may ask for data first.
  await settled(page);
  await until(async () => (await page.locator(".skeleton").count()) === 0, "it is all there");
  await walk.shot(name, page);
}
