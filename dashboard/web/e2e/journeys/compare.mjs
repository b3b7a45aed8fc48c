import { check, until } from "../browser.mjs";

export const title = "two runs are compared, and the line that got worse is named";
export const needs = ["shop1", "shop2"];

/** Every rule is asked twice: a debug build takes its time. */
const LIMIT = 45_000;

export async function run({ collector, recorded: { shop1, shop2 }, walk, page }) {
  const { process } = await collector.process(shop2.app);
  await walk.open(`/compare?process=${process}`, page);
  const verdict = page.getByTestId("compare-verdict");
  await verdict.waitFor({ timeout: LIMIT });
  const sides = await verdict.innerText();
  check(sides.includes(`${shop1.app} ${shop1.version}`) && sides.includes(`${shop2.app} ${shop2.version}`), "the run before is the other side");
  const worse = page.getByTestId("worse").locator("tbody tr");
  await until(async () => (await worse.count()) > 0, "something became worse");
  const places = await worse.allInnerTexts();
  check(places.every((row) => row.includes("price.rs:20")), `only ${shop2.worse} became worse, not ${places.join(" / ")}`);
  const row = worse.filter({ hasText: "poll length" }).first();
  const [a, b] = (await row.locator("td").allInnerTexts()).slice(2, 4);
  check(/\d+\s*µs/.test(a) && /\d(\.\d+)?\s*ms/.test(b), `from microseconds to milliseconds, not from ${a} to ${b}`);
}
