import { expect, test } from "vitest";
import type { Wait } from "../api/types.ts";
import { chainOf, waitGraph } from "./wait_graph.ts";

/**
 * `"1 config@a.rs:10 2"`: task 1 waits at a.rs:10 for `config`, which task 2 holds; a line each. Nobody holds it without a third word.
 * Chains are followed as the server does.
 */
function rows(script: string): Wait[] {
  const lines = script.trim().split("\n").map((line) => {
    const [task, rest, holders] = line.trim().split(" ") as [string, string, string | undefined];
    const [name, location] = rest.split("@") as [string, string | undefined];
    return { task, name, location: location ?? "a.rs:1", holders: holders?.split("+") ?? [] };
  });
  const resource = (name: string) => ({ resource: `r-${name}`, kind: "mutex", name, location: "lock.rs:5" });
  return lines.map(({ task, name, location, holders }, k) => {
    const path = [task];
    const chain = [];
    let next = holders[0];
    let cycle = false;
    while (next != null) {
      cycle = path.includes(next);
      path.push(next);
      const own = lines.find((line) => line.task === next);
      chain.push({ task: next, task_name: null, op: own ? "lock" : "", resource: own ? resource(own.name) : null, location: own?.location ?? null });
      next = cycle ? undefined : own?.holders[0];
    }
    return {
      wait: String(k), task, task_name: null, resource: resource(name), op: "lock", location, amount: 0, began_at: "0", ended_at: null, length: 1e9, state: "pending", chain, cycle, text: "",
      holders: holders.map((holder) => ({ task: holder, task_name: null, since_at: "0", location: "b.rs:7", amount: 0, released_at: null, later: false })),
    };
  });
}

const graphOf = (script: string, max?: number) => waitGraph(rows(script), max);
const titles = (graph: ReturnType<typeof waitGraph>) => graph.nodes.map((node) => node.title).sort();
const many = (n: number, line: (k: number) => string) => Array.from({ length: n }, (_, k) => line(k)).join("\n");

test("a task points to what it waits for, and that to who holds it", () => {
  const graph = graphOf("1 config@a.rs:10 2");
  expect(titles(graph)).toEqual(["mutex config", "task 1", "task 2"]);
  expect(graph.edges).toEqual([
    { from: "resource-r-config", to: "task-2", kind: "held", isInCircle: false, isBack: false },
    { from: "task-1", to: "resource-r-config", kind: "waits", isInCircle: false, isBack: false },
  ]);
  expect(graph.summary).toBe("1 task waits for mutex config, held by task 2.");
});

test("a circle is marked, and who waits for it is not in it", () => {
  const graph = graphOf("1 a@x.rs:1 2\n2 b@x.rs:2 1\n3 a@x.rs:3 2");
  expect(graph.nodes.filter((node) => node.isInCircle).map((node) => node.title).sort()).toEqual(["mutex a", "mutex b", "task 1", "task 2"]);
  expect(graph.edges.filter((edge) => edge.isInCircle).length).toBe(4);
  expect(graph.edges.filter((edge) => edge.isBack).length).toBe(2);
  expect(graph.summary).toBe("2 tasks wait in a circle; 1 waits for mutex a, held by task 2.");
});

test("a task may wait for itself", () => {
  const graph = graphOf("1 a@x.rs:1 1");
  expect(graph.summary).toBe("Task 1 waits for itself.");
  expect(graph.edges.every((edge) => edge.isInCircle)).toBe(true);
});

test("two circles are counted", () => {
  expect(graphOf("1 a@x.rs:1 2\n2 b@x.rs:2 1\n3 c@x.rs:1 4\n4 d@x.rs:2 3").summary).toBe("4 tasks wait in 2 circles.");
});

test("many waiters at one place are one node, few are not", () => {
  const graph = graphOf(`${many(37, (k) => `${100 + k} config@src/orders.rs:12 7`)}\n50 config@b.rs:2 7\n51 config@b.rs:2 7`);
  expect(titles(graph)).toEqual(["37 tasks", "mutex config", "task 50", "task 51", "task 7"]);
  const folded = graph.nodes.find((node) => node.count === 37)!;
  expect([folded.detail, folded.subject, folded.rows.length]).toEqual(["wait at src/orders.rs:12", null, 37]);
  expect(graph.summary).toBe("39 tasks wait for mutex config, held by task 7.");
});

test("two kinds of waits at one place stay two nodes, and an unknown place is none of the rest", () => {
  const readers = rows(many(3, (k) => `${10 + k} a@x.rs:1 7`));
  const writers = rows(many(4, (k) => `${20 + k} a@x.rs:1 7`)).map((row, k) => ({ ...row, wait: `w${k}`, op: "write" }));
  const nowhere = rows(many(5, (k) => `${30 + k} a@x.rs:1 7`)).map((row, k) => ({ ...row, wait: `n${k}`, location: null }));
  const graph = waitGraph([...readers, ...writers, ...nowhere]);
  expect(titles(graph)).toEqual(["3 tasks", "4 tasks", "5 tasks", "mutex a", "task 7"]);
  expect(graph.nodes.find((node) => node.count === 5)!.detail).toBe("");
});

test("no task is lost or counted twice, however much is folded", () => {
  const graph = graphOf(many(900, (k) => `${k} m${k % 23}@p${k % 31}.rs:${k % 7} ${1000 + (k % 23)}`), 10_000);
  const sum = graph.nodes.reduce((total, node) => total + (node.kind === "task" ? node.count : 0), 0);
  expect(sum).toBe(900 + 23);
  expect(new Set(graph.nodes.map((node) => node.id)).size).toBe(graph.nodes.length);
});

test("a waiter that holds something for others stays by itself", () => {
  const graph = graphOf(`${many(5, (k) => `${10 + k} a@x.rs:1 7`)}\n20 b@y.rs:1 12`);
  expect(titles(graph)).toEqual(["4 tasks", "mutex a", "mutex b", "task 12", "task 20", "task 7"]);
});

test("waiters at many places are the largest ones, and the rest as one", () => {
  const graph = graphOf(many(30, (k) => `${k + 10} a@place.rs:${k} 7`));
  expect(graph.nodes.length).toBe(2 + 8);
  expect(titles(graph)).toContain("23 more tasks");
});

test("many holders are one node", () => {
  const graph = graphOf(`1 permits@a.rs:1 ${Array.from({ length: 40 }, (_, k) => k + 10).join("+")}`);
  expect(graph.nodes.length).toBeLessThan(5);
  expect(graph.nodes.reduce((sum, node) => sum + (node.kind === "task" ? node.count : 0), 0)).toBe(41);
});

test("idle workers, each with a channel of its own, are two nodes", () => {
  const graph = graphOf(many(500, (k) => `${k} inbox${k}@worker.rs:9`));
  expect(titles(graph)).toEqual(["500 tasks", "500 × mutex"]);
  expect(graph.edges.length).toBe(1);
  expect(graph.summary).toBe("500 tasks wait for what nobody is known to hold.");
});

test("what is left out is counted, and it is never what is in a circle", () => {
  const graph = graphOf(`${many(100, (k) => `${10 + k} m${k}@p${k}.rs:1 ${500 + k}`)}\n1 a@x.rs:1 2\n2 b@x.rs:2 1`, 20);
  expect(graph.nodes.length).toBe(20);
  expect(graph.nodes.filter((node) => node.isInCircle).length).toBe(4);
  expect(graph.leftOut.tasks + graph.leftOut.resources).toBe(304 - 20);
  expect(graph.edges.every((edge) => graph.nodes.some((node) => node.id === edge.to))).toBe(true);
});

test("a wait for another task itself has no resource between", () => {
  const [row] = rows("1 a@x.rs:1 2");
  const graph = waitGraph([{ ...row!, resource: null, holders: [] }]);
  expect(graph.edges).toEqual([{ from: "task-1", to: "task-2", kind: "waits", isInCircle: false, isBack: false }]);
  expect(graph.summary).toBe("1 task waits for something else that is held.");
});

test("holders that gave it back, tasks without an id and unknown resources are no trouble", () => {
  const [row] = rows("1 a@x.rs:1 2");
  const gave = waitGraph([{ ...row!, chain: [], holders: row!.holders.map((holder) => ({ ...holder, released_at: "5" })) }]);
  expect(gave.edges.length).toBe(1);
  const outside = waitGraph([{ ...row!, task: null, chain: [], holders: [{ ...row!.holders[0]!, task: null }] }]);
  expect(titles(outside)).toEqual(["mutex a", "outside any task", "outside any task"]);
  const unknown = waitGraph([{ ...row!, resource: null, chain: [], holders: [] }]);
  expect(titles(unknown)).toEqual(["something not known", "task 1"]);
  expect(waitGraph([]).summary).toBe("");
});

test("a node's chain is what it leads to and what leads to it, not its siblings", () => {
  const graph = graphOf("1 a@x.rs:1 2\n3 a@y.rs:1 2\n2 b@z.rs:1 4");
  expect([...chainOf(graph, "task-1")].sort()).toEqual(["resource-r-a", "resource-r-b", "task-1", "task-2", "task-4"]);
  expect(chainOf(graph, "task-4").size).toBe(graph.nodes.length);
});
