//! What led to the selected poll, in words, with ways to go there; and its task as a lane.

import type { ArrowsAnswer } from "../api/types.ts";
import { atLeast, duration, plural } from "../base/format.ts";
import { link, processId } from "../app/session.ts";
import { taskText, type Arrow } from "../model/arrows.ts";
import { At } from "../ui/small.tsx";
import type { Timeline } from "./controller.ts";
import { isPinned, pin, unpin } from "./extra/chosen.ts";

/** Woken tasks that are listed. */
const LISTED = 8;

export function ArrowsPanel({ timeline }: { timeline: Timeline }) {
  const { answer, error, list } = timeline.arrows;
  if (error.value) return <p class="bad-text" role="alert">What led to it could not be read: {error.value.message}</p>;
  if (!answer.value) return null;
  const of = (kind: Arrow["kind"]) => list.value.filter((arrow) => arrow.kind === kind);
  return (
    <section class="stack tight" data-testid="arrows">
      <h3>What led to it</h3>
      <ul class="arrow-list">
        <Wake timeline={timeline} answer={answer.value} arrow={of("wake")[0]} />
        <Spawn timeline={timeline} answer={answer.value} arrow={of("spawn")[0]} />
      </ul>
      {answer.value.woke.length > 0 && <Woke timeline={timeline} answer={answer.value} arrows={of("woke")} />}
    </section>
  );
}

function Task({ id, text }: { id: string; text: string }) {
  return <a href={link(`/tasks/${processId.value}/${id}`)}>{text}</a>;
}

function Go({ timeline, arrow, label, hint }: { timeline: Timeline; arrow: Arrow | undefined; label: string; hint?: string }) {
  if (!arrow?.goal) return null;
  return <button type="button" class="button quiet" title={hint} onClick={() => timeline.arrows.follow(arrow)} data-testid={`follow-${arrow.kind}`}>{label}</button>;
}

function Wake({ timeline, answer: { wake, has_wakes: hasWakes }, arrow }: { timeline: Timeline; answer: ArrowsAnswer; arrow: Arrow | undefined }) {
  if (!wake) return <li class="muted">{hasWakes ? "No wake is known to have led to it." : <>Wakes of this task are not recorded. <a href={link("/sources")}>What would turn them on</a></>}</li>;
  return (
    <li data-testid="panel-wake">
      Woken {wake.by_itself ? "by itself" : wake.by ? <>by <Task id={wake.by.task} text={taskText(wake.by)} /></> : "by no task: a timer, a socket or another thread"}
      {wake.from && ` on worker ${wake.from.worker}`}, <b>{duration(wake.delay)}</b> before{wake.count > 1 && `; ${plural(wake.count, "wake")} came meanwhile`} <Go timeline={timeline} arrow={arrow} label="Go there" hint="To the poll that woke it ([)" />
    </li>
  );
}

function Spawn({ timeline, answer: { spawn, start_at: startAt }, arrow }: { timeline: Timeline; answer: ArrowsAnswer; arrow: Arrow | undefined }) {
  if (!spawn) return <li class="muted">Its task's spawn was not seen.</li>;
  const isFirst = spawn.first_poll?.start_at === startAt;
  return (
    <li data-testid="panel-spawn">
      Task spawned by {spawn.by ? <Task id={spawn.by.task} text={taskText(spawn.by)} /> : "no task"}{spawn.from && ` on worker ${spawn.from.worker}`} at <At at={spawn.at} />
      {spawn.first_poll ? <>, {isFirst ? "this is its first poll" : "polled first"} <b>{duration(Number(BigInt(spawn.first_poll.start_at) - BigInt(spawn.at)))}</b> later</> : ", and its first poll is no longer stored"} <Go timeline={timeline} arrow={arrow} label={spawn.from ? "Go there" : "To its first poll"} />
    </li>
  );
}

function Woke({ timeline, answer, arrows }: { timeline: Timeline; answer: ArrowsAnswer; arrows: readonly Arrow[] }) {
  return (
    <>
      <h3>It woke {answer.woke.length === 1 && answer.woke_all ? "a task" : `${atLeast(answer.woke.length, !answer.woke_all)} tasks`}</h3>
      <ul class="arrow-list">
        {answer.woke.slice(0, LISTED).map((woken, k) => (
          <li key={k}><Task id={woken.task} text={`task ${woken.task}`} />, polled on worker {woken.worker} <b>{duration(woken.delay)}</b> later <Go timeline={timeline} arrow={arrows[k]} label="Go there" hint={k === 0 ? "To the first that it woke (])" : ""} /></li>
        ))}
      </ul>
      {answer.woke.length > LISTED && <p class="muted">The first {LISTED} of {atLeast(answer.woke.length, !answer.woke_all)}.</p>}
    </>
  );
}

/** Keeps the task of the poll in sight as a lane of its own. */
export function PinButton({ timeline, task }: { timeline: Timeline; task: string }) {
  if (task === "0") return null;
  const one = { kind: "task", id: task } as const;
  const pinned = isPinned(one);
  const toggle = () => {
    if (pinned) unpin(one);
    timeline.announcement.value = (pinned ? null : pin(one)) ?? `Task ${task} is ${pinned ? "no longer " : ""}pinned`;
  };
  return <button type="button" class="button" aria-pressed={pinned} title="Show its states as a lane below the workers" onClick={toggle} data-testid="pin-task">{pinned ? "Pinned" : "Pin task"}</button>;
}
