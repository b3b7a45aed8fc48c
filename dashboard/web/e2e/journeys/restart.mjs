import { check, until } from "../browser.mjs";

export const title = "the collector is killed and started again while a page is open, and the page goes on by itself";
/** What a browser says about a server that is gone, which is the point. */
export const mayComplain = /net::|ERR_|Failed to load resource/;

const APP = "busy_lock";
const SECONDS = 90;
/** New data after the restart. */
const ENOUGH_S = 3;
const RECOVERY_LIMIT = 30_000;

export async function run({ collector, programs, walk, page }) {
  const child = programs.start(APP, SECONDS);
  const { process } = await until(() => collector.process(APP), "the program is recorded");
  await walk.open(`/timeline?process=${process}`, page);
  await page.getByTestId("timeline-canvas").waitFor();
  const connection = () => page.getByTestId("connection").getAttribute("data-state");
  await until(async () => (await connection()) === "open", "the page is connected");
  const loads = await page.evaluate(() => (window.isTheSamePage = true) && performance.timeOrigin);
  const before = await until(async () => seconds(await page.getByTestId("span").innerText()), "the recording has a length");

  await collector.killHard();
  await until(async () => (await connection()) === "broken", "the page says that the connection is gone");
  await walk.shot("journey-restart-broken", page);
  await collector.startAgain();
  await until(async () => (await connection()) === "open", "the page connects again by itself", RECOVERY_LIMIT);
  await until(async () => seconds(await page.getByTestId("span").innerText()) > before + ENOUGH_S, "new data is shown", RECOVERY_LIMIT);
  check(await page.evaluate((origin) => window.isTheSamePage === true && performance.timeOrigin === origin, loads), "the page was not loaded again");
  check((await page.getByRole("alert").count()) === 0, "no error is left on the page");
  const { last_at } = await collector.process(APP);
  check(Date.now() - Number(BigInt(last_at) / 1_000_000n) < 10_000, "what is stored is new");
  child.kill("SIGTERM");
}

/** `12.4 s in view`, `1 m 02 s in view`. */
function seconds(text) {
  const minutes = Number(/([\d.]+)\s*m(?:in)?\b(?!s)/.exec(text)?.[1] ?? 0);
  const rest = Number(/([\d.]+)\s*s\b/.exec(text)?.[1] ?? 0);
  return minutes * 60 + rest;
}
