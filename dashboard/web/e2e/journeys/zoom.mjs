import { check, settled, until } from "../browser.mjs";

export const title = "from 24 hours to one poll of 40 µs, and back";
export const needs = ["day"];

/** Turns of the wheel; each is a factor of two and a half at most, and less where several are taken for one. */
const MAX_TURNS = 200;

export async function run({ collector, recorded: { day }, walk, page }) {
  const { process } = await collector.process(day.app);
  await walk.open(`/timeline?process=${process}`, page);
  const canvas = page.getByTestId("timeline-canvas");
  // Beside the length it may say that every poll is shown.
  const span = async () => (await page.getByTestId("span").innerText()).split(" · ")[0];
  await until(async () => /^(24|1 d|1d)/.test(await span()), "the whole day is in view");
  const whole = await span();
  await canvas.waitFor();
  await settled(page);

  const needle = BigInt(day.needle_at) + BigInt(day.needle_length / 2);
  // Where the poll is in the view, which the address has once the wheel has been turned.
  const seen = () => {
    const query = new URL(page.url()).searchParams;
    return query.has("from") ? { from: BigInt(query.get("from")), to: BigInt(query.get("to")) } : null;
  };
  const pointAtNeedle = async () => {
    const { from, to } = seen() ?? { from: BigInt(day.from) - (BigInt(day.to) - BigInt(day.from)) / 100n, to: BigInt(day.to) + (BigInt(day.to) - BigInt(day.from)) / 100n };
    const share = Number(((needle - from) * 1_000_000n) / (to - from)) / 1e6;
    check(share >= 0 && share <= 1, "the poll stays in view");
    // What comes later above the lanes moves them down.
    const box = await canvas.boundingBox();
    await page.mouse.move(box.x + share * box.width, box.y + box.height / 8);
    return Number(to - from);
  };
  let turns = 0;
  for (let width = await pointAtNeedle(); width > 4 * day.needle_length; turns += 1) {
    check(turns < MAX_TURNS, `after ${turns} turns the view is still ${width} ns wide`);
    const before = page.url();
    for (let k = 0; k < 3; k += 1) await page.mouse.wheel(0, -120);
    await until(() => page.url() !== before, "the address follows the wheel");
    width = await pointAtNeedle();
  }
  await until(async () => (await canvas.getAttribute("data-exact")) === "true", "polls are exact");
  const panel = page.getByTestId("poll-panel");
  await until(async () => {
    await pointAtNeedle();
    await page.mouse.down();
    await page.mouse.up();
    return (await panel.innerText({ timeout: 1_000 })).includes(day.needle_location);
  }, `a click on it selects the poll of ${day.needle_location}`);
  check(/\b40\s*µs/.test(await panel.innerText()), `it took 40 µs: ${(await panel.innerText()).slice(0, 80)}`);
  await walk.shot("journey-zoom-needle", page);

  await page.keyboard.press("Escape");
  await page.keyboard.press("f");
  await until(async () => (await span()) === whole, `the whole day is in view again, as before: ${whole}`);
}
