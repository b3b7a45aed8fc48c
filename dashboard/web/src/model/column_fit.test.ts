import { expect, test } from "vitest";
import { chosenColumns, fitColumns, fittedWidth, neededWidth } from "./column_fit.ts";

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

test("what is left goes to those without a width, by what they need", () => {
  const columns = [{ key: "id", width: "90px" }, { key: "name", least: 100 }, { key: "place", least: 300 }];
  const widths = (width: number) => columns.map((column) => fittedWidth(column, columns, width));
  expect(widths(490)).toEqual(["90px", "100px", "300px"]);
  expect(widths(890)).toEqual(["90px", "200px", "600px"]);
  expect(widths(100)).toEqual(["90px", "100px", "300px"]);
  expect(widths(0)).toEqual(["90px", undefined, undefined]);
});

test("the address names columns, in whatever order", () => {
  expect(chosenColumns(COLUMNS, "polls,id,nonsense")?.map((column) => column.key)).toEqual(["id", "polls"]);
  expect(chosenColumns(COLUMNS, "nonsense")).toBe(null);
  expect(chosenColumns(COLUMNS, null)).toBe(null);
});
