//! The `?` dialog: all keys of the page that is open, its own first.

import { useEffect, useRef } from "preact/hooks";
import type { Command } from "./commands.ts";
import { place } from "./router.ts";
import { isHelpOpen, keysOf } from "./shortcuts.ts";

export function HelpDialog({ title, commands }: { title: string; commands: readonly Command[] }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current!.showModal(), []);
  return (
    <dialog ref={dialog} class="help" aria-labelledby="help-title" onClose={() => (isHelpOpen.value = false)} onClick={(event) => event.target === event.currentTarget && event.currentTarget.close()}>
      <div class="row">
        <h1 id="help-title" class="grow">Keys on {title}</h1>
        <button type="button" class="button" onClick={() => dialog.current!.close()}>Close</button>
      </div>
      <div class="keys">
        {keysOf(place.value.path, commands).map((group) => (
          <section key={group.title}>
            <h2>{group.title}</h2>
            <dl>
              {group.keys.map(([key, text]) => [
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
