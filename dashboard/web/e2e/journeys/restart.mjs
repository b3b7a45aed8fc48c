import { check, until } from "../browser.mjs";

export const title = "the collector is killed and started again while a page is open, and the page goes on by itself";
/** What a browser says about a server that is gone, which is the point. */
export const mayComplain = /net::|ERR_|Failed to load resource/;

const APP = "busy_lock";
/** It is ended before. */
const SECONDS = 600;
/** New data after the restart. */
const ENOUGH_S = 3;
/** The tries of the page are up to a dozen seconds apart, those of the agent up to five. */
const RECOVERY_LIMIT = 60_000;

export async function run(stage) {
  const child = stage.programs.start(APP, SECONDS);
  try {
    await goesOn(stage);
  } finally {
    child.kill("SIGTERM");
  }
}

async function goesOn({ collector, walk, page }) {
  const { process } = await until(() => collector.process(APP), "the program is recorded");
  await walk.open(`/timeline?process=${process}`, page);
  await page.getByTestId("timeline-canvas").waitFor();
  const connection = () => page.getByTestId("connection").getAttribute("data-state");
  await until(async () => (await connection()) === "open", "the page is connected");
  const loads = await page.evaluate(() => (window.isTheSamePage = true) && performance.timeOrigin);
  const shown = async () => seconds(await page.getByTestId("span").innerText());
  await until(async () => (await shown()) > 0, "the recording has a length");

  await collector.killHard();
  await until(async () => (await connection()) === "broken", "the page says that the connection is gone");
  await walk.shot("journey-restart-broken", page);
  const before = await shown();
  const again = BigInt(Date.now()) * 1_000_000n;
  await collector.startAgain();
  await until(async () => (await connection()) === "open", "the page connects again by itself", RECOVERY_LIMIT);
  await until(async () => (await shown()) > before + ENOUGH_S, "new data is shown", RECOVERY_LIMIT);
  check(await page.evaluate((origin) => window.isTheSamePage === true && performance.timeOrigin === origin, loads), "the page was not loaded again");
  await until(async () => (await page.getByRole("alert").count()) === 0, "no error is left on the page");
  await until(async () => BigInt((await collector.process(APP)).last_at) > again, "what is stored is newer than the restart");
}

/** `12.4 s in view`, `1 m 02 s in view`. */
function seconds(text) {
  const minutes = Number(/([\d.]+)\s*m(?:in)?\b(?!s)/.exec(text)?.[1] ?? 0);
  const rest = Number(/([\d.]+)\s*s\b/.exec(text)?.[1] ?? 0);
  return minutes * 60 + rest;
}
