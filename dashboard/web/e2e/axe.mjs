// What axe has against the page that is open.

import { readFile } from "node:fs/promises";
import { setTheme, settled, until } from "./browser.mjs";

const source = await readFile(new URL("../node_modules/axe-core/axe.min.js", import.meta.url), "utf8");
const WIDE = { width: 1440, height: 900 };
const NARROW = { width: 800, height: 900 };
/** The most that are named. */
const SHOWN = 8;

/** Throws with the theme, the width, the rule and the element of each violation. The theme is the only thing that changes with it, so only colours are asked about twice. */
export async function checkWithAxe(page) {
  await page.evaluate(source);
  const found = [];
  const ask = async (what, options) => {
    // What a newer answer is awaited for is paler until then.
    await until(async () => (await page.locator(".region-polls .waiting, .stale").count()) === 0, "what is shown is up to date");
    const violations = await page.evaluate(async (run) => {
      const { violations } = await window.axe.run(document, run);
      return violations.flatMap(({ id, help, nodes }) => nodes.map((node) => ({ id, help, target: node.target.join(" "), html: node.html.slice(0, 160), why: node.any.concat(node.all, node.none).map((it) => it.message).join("; ").slice(0, 240) })));
    }, { resultTypes: ["violations"], ...options });
    for (const { id, help, target, html, why } of violations) found.push(`${what}: ${id} (${help}) at ${target}: ${html} ${why}`);
  };
  const colors = { runOnly: ["color-contrast"] };
  await ask("light, wide", {});
  await setTheme(page, "dark");
  await ask("dark, wide", colors);
  await page.setViewportSize(NARROW);
  // What is as wide as its place follows the window a frame later.
  await settled(page);
  await ask("dark, narrow", colors);
  await setTheme(page, "light");
  await ask("light, narrow", {});
  await page.setViewportSize(WIDE);
  await settled(page);
  if (found.length > 0) throw new Error(`${found.length} violations\n${[...new Set(found)].slice(0, SHOWN).join("\n")}`);
}
