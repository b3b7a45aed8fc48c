// Asks axe about every page and all that can be open on it, in both themes, wide and narrow:
//   node e2e/accessible.mjs http://127.0.0.1:7411 /tmp/screenshots [NAME…]
// Exits with 1 if anything is wrong; the last line is `N passed, M failed`.

import { startWalk } from "./browser.mjs";
import { checkWithAxe } from "./axe.mjs";
import { findSubjects, scenesOf, show } from "./scenes.mjs";

const [base, out = "screenshots", ...names] = process.argv.slice(2);
if (!base) {
  console.error("usage: node e2e/accessible.mjs BASE_URL [SCREENSHOT_DIR] [NAME…]");
  process.exit(2);
}
const walk = await startWalk(base, out);
const page = await walk.newPage();
for (const scene of scenesOf(await findSubjects(base))) {
  if (names.length > 0 && !names.includes(scene.name)) continue;
  // Such a page is asked for something that cannot be done.
  const mayComplain = scene.name === "query-wrong" ? /\/api\/v1\/query|status of 4\d\d/ : null;
  await walk.step(`axe has nothing against ${scene.name}`, page, async () => {
    await show(scene, page, walk.open);
    await checkWithAxe(page);
  }, { mayComplain });
}
await walk.finish();
