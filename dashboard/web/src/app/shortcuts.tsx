//! The `?` dialog. What it lists is what the pages do; change both together.

import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

export const isHelpOpen = signal(false);

const KEYS: readonly (readonly [string, readonly (readonly [string, string])[]])[] = [
  ["Everywhere", [["?", "this help"], ["l", "follow live data, or freeze"], ["/", "focus the search field"], ["g", "go to a time or range"], ["t", "switch the theme"], ["Esc", "close, deselect"]]],
  ["Timeline: move", [["w s", "zoom in, out"], ["a d", "pan left, right"], ["wheel", "zoom at the pointer"], ["drag", "pan"], ["f", "fit the whole recording"], ["z", "undo the last zoom"]]],
  ["Timeline: find", [["n p", "next, previous slow poll"], ["← →", "previous, next poll"], ["↑ ↓", "worker above, below"], ["Enter", "open the poll"], ["Shift drag", "statistics of a region"], ["v", "show as a table"]]],
  ["Tables", [["↑ ↓", "row above, below"], ["PgUp PgDn", "a screen at a time"], ["Home End", "first, last row"], ["Enter", "open the row"]]],
];

export function HelpDialog() {
  const dialog = useRef<HTMLDialogElement>(null);
  const isOpen = isHelpOpen.value;
  useEffect(() => {
    if (isOpen && !dialog.current!.open) dialog.current!.showModal();
    if (!isOpen) dialog.current!.close();
  }, [isOpen]);
  return (
    <dialog ref={dialog} aria-labelledby="help-title" onClose={() => (isHelpOpen.value = false)} onClick={(event) => event.target === event.currentTarget && event.currentTarget.close()}>
      <div class="row">
        <h1 id="help-title" class="grow">Keyboard</h1>
        <button type="button" class="button" onClick={() => dialog.current!.close()}>Close</button>
      </div>
      <div class="keys">
        {KEYS.map(([title, keys]) => (
          <section key={title}>
            <h3>{title}</h3>
            <dl>
              {keys.map(([key, text]) => [
                <dt key={key}>{key.split(" ").map((part) => <><kbd key={part}>{part}</kbd> </>)}</dt>,
                <dd key={text}>{text}</dd>,
              ])}
            </dl>
          </section>
        ))}
      </div>
    </dialog>
  );
}

/** True while the person is writing, so that letters are letters. */
export function isTyping(event: KeyboardEvent): boolean {
  const target = event.target;
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}
