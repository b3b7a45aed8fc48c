import { expect, test } from "vitest";
import { chosenColumns, fitColumns, neededWidth } from "./column_fit.ts";

const COLUMNS = [
  { key: "id", width: "90px" },
  { key: "name", least: 140 },
  { key: "state", width: "96px", priority: 1 },
  { key: "wakes", width: "70px", priority: 3 },
  { key: "polls", width: "70px", priority: 2 },
];
const keys = (width: number) => fitColumns(COLUMNS, width).map((column) => column.key).join(" ");

test("lesser columns go first, and what names a row never does", () => {
  expect(neededWidth(COLUMNS)).toBe(466);
  expect(keys(466)).toBe("id name state wakes polls");
  expect(keys(465)).toBe("id name state polls");
  expect(keys(390)).toBe("id name state");
  expect(keys(100)).toBe("id name");
  expect(keys(0)).toBe("id name state wakes polls");
});

test("the address names columns, in whatever order", () => {
  expect(chosenColumns(COLUMNS, "polls,id,nonsense")?.map((column) => column.key)).toEqual(["id", "polls"]);
  expect(chosenColumns(COLUMNS, "nonsense")).toBe(null);
  expect(chosenColumns(COLUMNS, null)).toBe(null);
});
