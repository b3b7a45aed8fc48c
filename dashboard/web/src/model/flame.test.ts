import { describe, expect, it } from "vitest";
import type { Frame, StackSample } from "../api/types.ts";
import { Funcs, functions, heaviestLine, heavyTree, nodeById, profileOf, RUNTIME, sandwich, search, timeTree, weighed, type Node, type Profile } from "./flame.ts";
import { boxAt, boxesOf, eachVisible, indexOf, spanOf, stepFrom } from "./flame_boxes.ts";

/** `"a b! c:7"`: functions outermost first, those of the program with `!`. */
function frames(text: string): Frame[] {
  const frame = (word: string): Frame => {
    const [name = "", line] = word.split(":");
    return { function: name.replace("!", ""), file: `${name[0]}.rs`, line: Number(line ?? 0), own: name.includes("!") };
  };
  return text.split(" ").map(frame).reverse();
}

function profile(samples: readonly [string, number, (boolean | null)?, number?][], { funcs = new Funcs(), isWhole = true } = {}): Profile {
  const texts = [...new Set(samples.map(([text]) => text))];
  const places = new Map(texts.map((text, k) => [text, k]));
  const sample = ([text, weight, on = true, poll = 0]: readonly [string, number, (boolean | null)?, number?], k: number): StackSample => ({
    at: String(k), poll_start_at: String(poll * 1000), task: "1", loop: "1", worker: 0, weight, on_cpu: on, stack: places.get(text)!,
  });
  return profileOf({ stacks: texts.map(frames), samples: samples.map(sample) }, funcs, isWhole);
}

/** `main 10(3) [work 7(7)]`: total and own time. */
function picture(node: Node, funcs: Funcs): string {
  const name = node.func < 0 ? "*" : funcs.list[node.func]!.name;
  const below = node.children.map((child) => picture(child, funcs)).join(", ");
  return `${name} ${node.total}(${node.own})${below && ` [${below}]`}`;
}

const heavy = (it: Profile, isInverted = false) => picture(heavyTree(weighed(it, null, "all"), it.funcs, isInverted), it.funcs);

describe("left-heavy", () => {
  it("merges equal callers and puts the heaviest first", () => {
    expect(heavy(profile([["a b", 1], ["a c", 2], ["a b", 4], ["a", 8]]))).toBe("* 15(0) [a 15(8) [b 5(5), c 2(2)]]");
  });
  it("inverted begins with what ran, and goes to its callers", () => {
    expect(heavy(profile([["a x", 1], ["b x", 2], ["a", 4]]), true)).toBe("* 7(0) [a 4(4), x 3(0) [b 2(2), a 1(1)]]");
  });
  it("is one function whichever line ran, and knows the line most time was spent at", () => {
    const it = profile([["a:1", 1], ["a:7", 5], ["a:3", 2]]);
    const tree = heavyTree(weighed(it, null, "all"), it.funcs);
    expect(tree.children).toHaveLength(1);
    expect(heaviestLine(tree.children[0]!.lines)).toBe(7);
    expect(heaviestLine(new Map())).toBe(0);
  });
  it("folds what calls the program, unless it calls nothing of the program", () => {
    const stacks: [string, number][] = [["start run main! lib", 1], ["start main!", 2], ["start park", 4]];
    expect(heavy(profile(stacks, { isWhole: false }))).toBe(`* 7(0) [start 4(0) [park 4(4)], ${RUNTIME} 3(0) [main 3(2) [lib 1(1)]]]`);
    expect(heavy(profile([["main! lib", 1]], { isWhole: false }))).toBe("* 1(0) [main 1(0) [lib 1(1)]]");
  });
  it("a stack that was lost is one box of its own", () => {
    const it = profileOf({ stacks: [[]], samples: [{ at: "1", poll_start_at: "1", task: "1", loop: "1", worker: 0, weight: 5, on_cpu: null, stack: 0 }] }, new Funcs(), false);
    expect(heavy(it)).toBe("* 5(0) [stack was lost 5(5)]");
    expect(functions(weighed(it, null, "all"), it.funcs)).toEqual([]);
  });
});

describe("weights", () => {
  it("on-CPU and off-CPU leave out what is not known", () => {
    const it = profile([["a", 1, true], ["a", 2, false], ["a", 4, null]]);
    const total = (weight: "all" | "on" | "off") => heavyTree(weighed(it, null, weight), it.funcs).total;
    expect([total("all"), total("on"), total("off")]).toEqual([7, 1, 2]);
  });
});

describe("in order of time", () => {
  const it_ = profile([["a b", 1, true, 0], ["a c", 2, true, 0], ["a b", 4, true, 0], ["a b", 8, true, 1]]);
  it("has one box for each poll and keeps the order", () => {
    const { root, polls } = timeTree(it_, "all");
    expect(picture(root, it_.funcs)).toBe("* 15(0) [poll 7(0) [a 7(0) [b 1(1), c 2(2), b 4(4)]], poll 8(0) [a 8(0) [b 8(8)]]]");
    expect([...polls.values()].map((poll) => poll.startAt)).toEqual(["0", "1000"]);
  });
  it("has the newest, where there is no room for all", () => {
    const { root, left } = timeTree(it_, "all", false, 7);
    expect(picture(root, it_.funcs)).toBe("* 12(0) [poll 4(0) [a 4(0) [b 4(4)]], poll 8(0) [a 8(0) [b 8(8)]]]");
    expect(left).toBe(2);
    expect(timeTree(it_, "all").left).toBe(0);
  });
  it("a function that ran itself between two calls keeps both apart in time", () => {
    const own = profile([["a b", 1], ["a", 2], ["a b", 4]]);
    const { root } = timeTree(own, "all");
    expect(picture(root, own.funcs)).toBe("* 7(0) [poll 7(0) [a 3(2) [b 1(1)], a 4(0) [b 4(4)]]]");
  });
});

describe("sandwich", () => {
  it("has all callers and all callees of a function", () => {
    const it = profile([["a f x", 1], ["b f y", 2], ["a f", 4], ["c", 8]]);
    const { callers, callees } = sandwich(weighed(it, null, "all"), it.funcs, it.funcs.of("f", "f.rs", false));
    expect(picture(callers, it.funcs)).toBe("* 7(0) [f 7(0) [a 5(5), b 2(2)]]");
    expect(picture(callees, it.funcs)).toBe("* 7(0) [f 7(4) [y 2(2), x 1(1)]]");
  });
  it("counts a function that calls itself once", () => {
    const it = profile([["a f g f x", 3]]);
    const { callers, callees } = sandwich(weighed(it, null, "all"), it.funcs, it.funcs.of("f", "f.rs", false));
    expect(callers.total).toBe(3);
    expect(picture(callees, it.funcs)).toBe("* 3(0) [f 3(0) [g 3(0) [f 3(0) [x 3(3)]]]]");
  });
});

describe("functions", () => {
  it("have own, total and held time, the longest holder first", () => {
    const it = profile([["run main! work! lib", 10], ["run main! work! work! lib", 5], ["run main!", 1]]);
    const table = functions(weighed(it, null, "all"), it.funcs);
    expect(table.map(({ func, own, total, held }) => [func.name, own, total, held])).toEqual([
      ["work", 0, 15, 15], ["main", 1, 16, 1], ["lib", 15, 15, 0], ["run", 0, 16, 0],
    ]);
  });
});

describe("diff", () => {
  const funcs = new Funcs();
  const before = profile([["a b", 10], ["a gone", 3]], { funcs });
  const now = profile([["a b", 4], ["a new", 6]], { funcs });
  const both = weighed(now, before, "all");
  it("has both ranges in one tree", () => {
    const change = (node: Node): string[] => [`${funcs.list[node.func]?.name ?? "*"} ${node.total - node.before}`, ...node.children.flatMap(change)];
    expect(change(heavyTree(both, funcs))).toEqual(["* -3", "a -3", "new 6", "b -6", "gone -3"]);
  });
  it("draws only what is there now, and lists what is gone", () => {
    const boxes = boxesOf(heavyTree(both, funcs));
    expect(boxes.nodes.map((node) => funcs.list[node.func]!.name)).toEqual(["a", "new", "b"]);
    const gone = functions(both, funcs).find((sum) => sum.func.name === "gone");
    expect([gone?.total, gone?.before]).toEqual([0, 3]);
  });
});

describe("search", () => {
  const it_ = profile([["a Sort!", 6], ["a b", 3], ["a Sort! b", 1]]);
  const stacks = weighed(it_, null, "all");
  it("counts the time of a stack once, however often it matches", () => {
    const found = search(" sort ", stacks, it_.funcs)!;
    expect([found.count, found.time]).toEqual([1, 7]);
    expect(search(".rs", stacks, it_.funcs)!.time).toBe(10);
    expect(search("nothing", stacks, it_.funcs)!.time).toBe(0);
    expect(search("  ", stacks, it_.funcs)).toBeNull();
  });
});

describe("boxes", () => {
  const it_ = profile([["a b c", 2], ["a d", 5], ["e", 3]]);
  const root = heavyTree(weighed(it_, null, "all"), it_.funcs);
  const boxes = boxesOf(root);
  const name = (index: number) => it_.funcs.list[boxes.nodes[index]?.func ?? -1]?.name;
  it("lie below their parent, row by row", () => {
    expect(boxes.nodes.map((_, k) => name(k))).toEqual(["a", "e", "d", "b", "c"]);
    expect([...boxes.starts]).toEqual([0, 7, 0, 5, 5]);
    expect(boxes.rows).toEqual([0, 2, 4, 5]);
  });
  it("are found by point and by id", () => {
    expect([boxAt(boxes, 1, 4.9), boxAt(boxes, 1, 5), boxAt(boxes, 1, 7), boxAt(boxes, 9, 0)].map(name)).toEqual(["d", "b", undefined, undefined]);
    const later = profile([["e", 1], ["a d", 9]]);
    const again = heavyTree(weighed(later, null, "all"), later.funcs);
    const d = boxes.nodes[2]!;
    expect(nodeById(root, d.id)).toBe(d);
    expect(nodeById(again, d.id)?.total).toBe(9);
    expect(nodeById(root, "nowhere")).toBeNull();
    expect(spanOf(boxes, indexOf(boxes, d))).toEqual({ start: 0, span: 5 });
  });
  it("are reached by arrow keys", () => {
    expect([stepFrom(boxes, -1, "in"), stepFrom(boxes, 0, "in"), stepFrom(boxes, 2, "next"), stepFrom(boxes, 3, "in"), stepFrom(boxes, 4, "out"), stepFrom(boxes, 4, "in"), stepFrom(boxes, 1, "next")].map(name)).toEqual(["a", "d", "b", "c", "b", "c", "e"]);
  });
  it("too narrow to see are drawn together", () => {
    const many = profile(Array.from({ length: 10_000 }, (_, k) => [`a f${k}`, k === 0 ? 10_000 : 1] as [string, number]));
    const wide = boxesOf(heavyTree(weighed(many, null, "all"), many.funcs));
    const drawn: string[] = [];
    eachVisible(wide, 1, spanOf(wide, -1), 1000, (_, left, right) => drawn.push(`${Math.round(left)}-${Math.round(right)}`), (first, last, left, right) => drawn.push(`${last - first + 1} in ${Math.round(left)}-${Math.round(right)}`));
    expect(drawn).toEqual(["0-500", "9999 in 500-1000"]);
    // Zoomed in they are boxes again, and what is not on screen is not handed out.
    drawn.length = 0;
    eachVisible(wide, 1, { start: 15_000, span: 10 }, 1000, (_, left, right) => drawn.push(`${Math.round(left)}-${Math.round(right)}`), () => drawn.push("narrow"));
    expect(drawn).toHaveLength(10);
  });
});
