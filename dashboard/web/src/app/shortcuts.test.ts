import { expect, test } from "vitest";
import { keysOf } from "./shortcuts.ts";

const COMMANDS = [{ title: "Go to Tasks", group: "Go to", key: "4" }, { title: "Theme: dark", group: "View" }, { title: "Theme: the next one", group: "View", key: "t" }];
const titles = (path: string) => keysOf(path, COMMANDS).map((group) => group.title);
const meaning = (path: string, key: string) => keysOf(path, COMMANDS).flatMap((group) => group.keys.filter(([one]) => one === key).map(([, text]) => text));

test("a page shows its own keys first, then those of all, and none of another page", () => {
  expect(titles("/timeline")).toEqual(["Move", "Find", "Select", "Search and commands", "Go to", "View"]);
  expect(titles("/tasks")).toEqual(["Search field", "Tables", "Search and commands", "Go to", "View"]);
  expect(titles("/tasks/1/7")).toEqual(["Histograms", "Tables", "Search and commands", "Go to", "View"]);
  expect(titles("/")).toEqual(["Search and commands", "Go to", "View"]);
});

test("a slash means one thing on each page", () => {
  expect(meaning("/", "/")).toEqual(["open the omnibox"]);
  expect(meaning("/tasks", "/")).toEqual(["go to it"]);
  expect(meaning("/timeline", "/")).toEqual(["highlight a place or task"]);
  expect(meaning("/query", "/")).toEqual(["go to the statement"]);
});

test("commands without a key are not listed", () => {
  expect(keysOf("/", COMMANDS).at(-1)!.keys).toEqual([["t", "Theme: the next one"]]);
});

test("what steps through a timeline is listed with what it steps through", () => {
  expect(meaning("/timeline", "n p")[0]).toContain("slow polls, findings, losses, notes");
  expect(meaning("/timeline", "Shift n p")[0]).toContain("of one kind");
});
