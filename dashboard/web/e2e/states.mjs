// What a page shows while it waits, when there is nothing, and when something fails; and whether a keyboard reaches all of it:
//   node e2e/states.mjs LOOPD PROGRAM /tmp/screenshots [ARGUMENT…]
// PROGRAM is recorded in an empty store after the first steps. Exits with 1 if anything is wrong; the last line is `N passed, M failed`.

import { checkWithAxe } from "./axe.mjs";
import { check, setTheme, settled, startWalk, until } from "./browser.mjs";
import { EMPTY_SCENES, findSubjects, scenesOf, show } from "./scenes.mjs";
import { record, startLoopd } from "./serve.mjs";

const [loopd, program, out = "screenshots", ...programArguments] = process.argv.slice(2);
if (!program) {
  console.error("usage: node e2e/states.mjs LOOPD PROGRAM [SCREENSHOT_DIR] [ARGUMENT…]");
  process.exit(2);
}
/** More presses of Tab than any page has stops. */
const MAX_STOPS = 400;
/** What comes while somebody goes through it may be come to in the next round only. */
const MAX_ROUNDS = 4;
/** From loopd's start to what is asked for by itself: the tries of a page are up to a dozen seconds apart. */
const RECOVERY_LIMIT = 60_000;
const server = await startLoopd(loopd);
const walk = await startWalk(server.url, out);
const page = await walk.newPage();

for (const scene of EMPTY_SCENES) {
  await walk.step(`${scene.name} says what to do, and axe agrees`, page, async () => {
    await show(scene, page, walk.open);
    check(/Cargo\.toml|pip install|loopd|SELECT/.test(await page.locator("main").innerText()), "there is something to do");
    await checkWithAxe(page);
    await walk.shot(scene.name, page);
    await setTheme(page, "dark");
    await walk.shot(`${scene.name}-dark`, page);
    await setTheme(page, "light");
  });
}

await record(server, program, programArguments);
const scenes = scenesOf(await findSubjects(server.url)).filter((scene) => scene.isMain);

/** All that fails looks like one of these. */
const FAILING = ["overview", "timeline", "task", "query"];

// Compare asks nothing while there is one run.
for (const scene of scenes.filter((scene) => scene.name !== "compare")) {
  await walk.step(`${scene.name}: slow answers leave a skeleton, failing ones an error with a way to ask again`, page, async () => {
    // The list of processes and the stream answer: it is the page's own question that does not.
    const isOwn = (url) => url.pathname.startsWith("/api/v1/") && !/^\/api\/v1\/(processes|live)$/.test(url.pathname);
    const held = [];
    let mode = "hold";
    let asked = 0;
    await page.route(isOwn, async (route) => {
      asked += 1;
      if (mode === "hold") await new Promise((go) => held.push(go));
      const answer = { status: 503, contentType: "application/json", body: JSON.stringify({ error: "the database is being checked" }) };
      // A question may have been given up meanwhile.
      await (mode === "fail" ? route.fulfill(answer) : route.continue()).catch(() => {});
    });
    try {
      await walk.open(scene.path, page);
      await page.locator("main :is(.skeleton, tr.pending, .axis-corner, [data-testid=query-status])").first().waitFor();
      await walk.shot(`waiting-${scene.name}`, page);
      mode = "fail";
      held.forEach((go) => go());
      const error = page.locator("main [role=alert]").first();
      await error.waitFor();
      const said = await error.innerText();
      check(/the database is being checked/.test(said), `the error says what failed, not "${said}"`);
      if (FAILING.includes(scene.name)) await checkWithAxe(page);
      await walk.shot(`failing-${scene.name}`, page);
      const before = asked;
      const again = page.locator("main").getByRole("button", { name: /^(Try again|Run)$/ }).first();
      await again.click();
      await until(async () => asked > before, "it asked again");
      mode = "pass";
      // A page that follows live data asks by itself too: the button may be gone before it is pressed.
      const ready = page.locator(scene.ready).first();
      await until(async () => (await ready.isVisible()) || (await again.click({ timeout: 1_000 }).then(() => false, () => false)), "what was asked for shows");
    } finally {
      mode = "pass";
      held.forEach((go) => go());
      await page.unroute(isOwn);
    }
  }, { mayComplain: /503/ });
}

for (const scene of scenes) {
  await walk.step(`${scene.name}: Tab goes through all of it, and never gets lost`, page, async () => {
    await show(scene, page, walk.open);
    await walkByTab(page);
  });
}

await walk.step("the first stop skips to the content", page, async () => {
  await show(scenes[0], page, walk.open);
  await settled(page);
  await page.keyboard.press("Tab");
  const skip = page.getByRole("link", { name: "Skip to content" });
  check(await skip.evaluate((it) => it === document.activeElement), "it is the skip link");
  await until(async () => (await skip.boundingBox()).y >= 0, "it is seen while it has the focus");
  await page.keyboard.press("Enter");
  check(await page.evaluate(() => document.activeElement === document.querySelector("main")), "the content has the focus");
});

for (const [name, open] of [["the help", "?"], ["the omnibox", "Control+k"]]) {
  await walk.step(`${name} keeps the focus inside, and gives it back`, page, async () => {
    await show(scenes[0], page, walk.open);
    const before = page.getByTestId("theme");
    await before.focus();
    await page.keyboard.press(open);
    await page.getByRole("dialog").waitFor();
    for (let k = 0; k < 6; k += 1) {
      await page.keyboard.press("Tab");
      check(await page.evaluate(() => document.activeElement === document.body || document.querySelector("dialog[open]").contains(document.activeElement)), "the focus is inside");
    }
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    check(await before.evaluate((it) => it === document.activeElement), "the focus is back where it was");
  });
}

await walk.step("what opens below a button closes with Escape, and gives the focus back", page, async () => {
  await show(scenes[0], page, walk.open);
  for (const button of [page.getByTestId("process-picker"), page.getByRole("button", { name: "Choose a range" })]) {
    await button.focus();
    await page.keyboard.press("Enter");
    await page.locator(".popup").waitFor();
    await settled(page);
    await page.keyboard.press("Tab");
    check(await page.evaluate(() => document.querySelector(".popup").contains(document.activeElement)), "the next stop is inside");
    await page.keyboard.press("Escape");
    await page.locator(".popup").waitFor({ state: "detached" });
    check(await button.evaluate((it) => it === document.activeElement), "the button has the focus again");
  }
});

await walk.step("forced colours keep what is chosen, on, and drawn visible", page, async () => {
  await page.emulateMedia({ forcedColors: "active" });
  for (const scene of scenes) {
    await show(scene, page, walk.open);
    await walk.shot(`forced-${scene.name}`, page);
  }
  await page.emulateMedia({ forcedColors: "none" });
});

await walk.step("with less motion asked for, nothing moves", page, async () => {
  await walk.open("/", page);
  await page.getByTestId("verdict").waitFor();
  const moving = await page.evaluate(() => document.getAnimations().filter((it) => it.playState === "running" && it.effect.getComputedTiming().activeDuration > 10).length);
  check(moving === 0, `${moving} animations run`);
});

await walk.step("a page that is open says that loopd is gone, keeps what it has, and goes on when it is back", page, async () => {
  await walk.open(scenes[0].path, page);
  await page.getByTestId("verdict").waitFor();
  const connection = page.getByTestId("connection");
  await until(async () => (await connection.getAttribute("data-state")) === "open", "it is connected");
  await server.stop();
  await until(async () => (await connection.getAttribute("data-state")) === "broken", "it says that loopd does not answer");
  await page.getByTestId("verdict").waitFor();
  await page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name: "Findings", exact: true }).click();
  await page.locator("main [role=alert]").first().waitFor();
  check(/Is `?loopd serve`? still running/.test(await page.locator("main [role=alert]").first().innerText()), "it says what to do");
  await walk.shot("loopd-gone", page);
  await checkWithAxe(page);
  check(await page.locator("main").getByRole("button", { name: "Try again" }).first().isVisible(), "it can be asked again");
  await server.start();
  // Nobody has to press that.
  await page.getByTestId("rules").waitFor({ timeout: RECOVERY_LIMIT });
  await until(async () => (await connection.getAttribute("data-state")) === "open", "it is connected again", RECOVERY_LIMIT);
}, { mayComplain: /ERR_|Failed to load|Failed to fetch/ });

await server.remove();
await walk.finish();

/** Every stop is seen, is inside the window, and none is a trap; all that can be reached is reached. */
async function walkByTab(on) {
  await on.evaluate(() => {
    document.activeElement?.blur?.();
    window.getSelection()?.removeAllRanges();
  });
  const seen = new Set();
  for (let round = 1; ; round += 1) {
    const before = seen.size;
    for (const stop of await goRound(on)) seen.add(stop);
    const left = await on.evaluate(() => {
      const wanted = "a[href], button:not([disabled]), input:not([disabled]), select, textarea, summary, [tabindex='0']";
      return [...document.querySelectorAll(wanted)].filter((it) => !it.dataset.stop && it.tabIndex >= 0 && it.checkVisibility({ visibilityProperty: true })).map((it) => it.outerHTML.slice(0, 140));
    });
    if (left.length === 0) return;
    check(seen.size > before && round < MAX_ROUNDS, `Tab never comes to ${left.slice(0, 3).join(" and ")}`);
  }
}

/** From where the focus is to the last stop, or once around; the stops. */
async function goRound(on) {
  const stops = new Set();
  let first = null;
  for (let k = 0; k < MAX_STOPS; k += 1) {
    // In an editor Tab is a letter; the page says beside it how to leave.
    if (await on.evaluate(() => document.activeElement?.matches(".editor"))) await on.keyboard.press("Escape");
    await on.keyboard.press("Tab");
    const look = () => on.evaluate(() => {
      const it = document.activeElement;
      if (!it || it === document.body) return null;
      it.dataset.stop ??= String((window.stops = (window.stops ?? 0) + 1));
      const box = it.getBoundingClientRect();
      const style = getComputedStyle(it);
      // An element of SVG draws its focus itself, and a canvas is inside of what has it.
      const isMarked = it instanceof SVGElement || style.outlineStyle !== "none" || style.boxShadow !== "none";
      return { id: it.dataset.stop, text: it.outerHTML.slice(0, 140), isMarked, isSeen: box.width > 0 && box.height > 0 && box.bottom > 0 && box.right > 0 && box.top < innerHeight && box.left < innerWidth };
    });
    let stop = await look();
    // What is focused is scrolled to, or drawn, in the next frame.
    await until(async () => { stop = await look(); return stop == null || (stop.isSeen && stop.isMarked); }, "").catch(() => {});
    // Beyond the last stop the browser's own controls follow, then the first stop again.
    if (stop == null && stops.size === 0) continue;
    if (stop == null) return stops;
    if (stops.has(stop.id)) {
      check(stop.id === first, `Tab goes in a circle at ${stop.text}`);
      return stops;
    }
    first ??= stop.id;
    stops.add(stop.id);
    check(stop.isSeen, `the focus is out of sight at ${stop.text}`);
    check(stop.isMarked, `nothing marks the focus at ${stop.text}`);
  }
  throw new Error(`after ${MAX_STOPS} stops there are still more`);
}
