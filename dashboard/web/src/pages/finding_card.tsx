//! One finding with its proof and fix; used by Findings, and its words by Overview.

import { useEffect, useRef, useState } from "preact/hooks";
import { apiUrl, post } from "../api/client.ts";
import type { Finding, FindingLevel, Mute } from "../api/types.ts";
import { duration, plural } from "../base/format.ts";
import { SECOND } from "../base/instant.ts";
import { place, setQuery } from "../app/router.ts";
import { link, processId } from "../app/session.ts";
import { CAPTURE_INCOMPLETE, findingKey, isReason, localHref, MAX_REASON, ruleText } from "../model/findings.ts";
import { Snippet } from "../ui/clipboard.tsx";
import { Icon, type IconName } from "../ui/icons.tsx";
import { Prose } from "../ui/prose.tsx";
import { At, WholePlace } from "../ui/small.tsx";

interface Badge {
  readonly tone: string;
  readonly word: string;
  readonly icon: IconName;
}

const LEVELS: Readonly<Record<FindingLevel, Badge>> = {
  error: { tone: "bad", word: "Error", icon: "warn" },
  warning: { tone: "warn", word: "Warning", icon: "warn" },
  info: { tone: "", word: "Info", icon: "help" },
};

/** A colour, and always a word. */
export function badge(finding: { readonly rule: string; readonly level: FindingLevel }): Badge {
  return finding.rule === CAPTURE_INCOMPLETE ? { tone: "warn", word: "Incomplete", icon: "warn" } : LEVELS[finding.level] ?? LEVELS.info;
}

/** Pixels above a card that was scrolled to. */
const AIR = 24;

const SURE: Record<Finding["confidence"], string> = {
  certain: "It was seen",
  likely: "The evidence points this way",
  possible: "Other causes look alike",
};

/** `changed`: it was muted, or is heard again. */
export function FindingCard({ finding, isChosen, changed }: { finding: Finding; isChosen: boolean; changed: () => void }) {
  const { tone, word, icon } = badge(finding);
  const card = useRef<HTMLLIElement>(null);
  useEffect(() => {
    // Not `scrollIntoView`, which also moves the frame around the page.
    const main = card.current?.closest("main");
    if (isChosen && main) main.scrollBy(0, card.current!.getBoundingClientRect().top - main.getBoundingClientRect().top - AIR);
  }, [isChosen]);
  return (
    <li ref={card} class={`card found ${tone} ${isChosen ? "chosen" : ""}`} data-testid="finding" data-rule={finding.rule} data-finding={findingKey(finding)} aria-current={isChosen ? "true" : undefined}>
      <div class="stack tight">
        <p class="row wrap">
          <span class={`chip ${tone}`}><Icon name={icon} size={12} /> {word}</span>
          {finding.rule !== CAPTURE_INCOMPLETE && <span class="muted">{ruleText(finding.rule)}</span>}
          {finding.harm > 0 && <span class="found-harm" title="Delay inflicted on others, or what was held times how long">harm <b>{duration(finding.harm)}</b></span>}
        </p>
        <h2><Prose text={finding.title} /></h2>
        <p class="row wrap muted">
          {finding.location && <WholePlace text={finding.path ?? finding.location} />}
          <span>{plural(finding.occurrences, "time")}</span>
          <Seen finding={finding} />
          <span title={SURE[finding.confidence]}>{finding.confidence}</span>
        </p>
      </div>
      <ul class="evidence" aria-label="Proof">
        {finding.evidence.map((it) => <li key={it.text}>{it.href ? <a href={localHref(it.href, link("/"))}><Prose text={it.text} /></a> : <Prose text={it.text} />}</li>)}
      </ul>
      <dl class="found-advice">
        <dt>Why</dt>
        <dd><Prose text={finding.why} /></dd>
        <dt>Fix</dt>
        <dd><Prose text={finding.fix} /></dd>
      </dl>
      {finding.snippet && <Snippet text={finding.snippet.code} label={`How it looks in ${finding.snippet.language}`} />}
      <Muting finding={finding} isChosen={isChosen} changed={changed} />
    </li>
  );
}

function Seen({ finding }: { finding: Finding }) {
  const last = <At at={finding.last_seen_at} resolution={SECOND} />;
  if (finding.first_seen_at === finding.last_seen_at) return <span>at {last}</span>;
  return <span>from <At at={finding.first_seen_at} resolution={SECOND} /> to {last}</span>;
}

/** Mutes a finding in every run of its program, for a reason that others can read, or lets it be heard again. */
function Muting({ finding, isChosen, changed }: { finding: Finding; isChosen: boolean; changed: () => void }) {
  const [draft, setDraft] = useState<string | null>(null);
  const [error, setError] = useState<string | null>(null);
  const [isBusy, setBusy] = useState(false);
  const opener = useRef<HTMLButtonElement>(null);
  // A link may ask for it, as the command of the omnibox does.
  const isAsked = isChosen && place.value.query.get("muting") === "1";
  useEffect(() => {
    if (isAsked) setDraft("");
  }, [isAsked]);
  const ask = async (reason: string | null) => {
    setBusy(true);
    try {
      await post<Mute>(apiUrl(`/processes/${processId.value}/findings/mute`), { rule: finding.rule, subject: finding.subject, reason });
      setError(null);
      setDraft(null);
      if (isAsked) setQuery({ muting: null });
      changed();
    } catch (cause) {
      setError((cause as Error).message);
    } finally {
      setBusy(false);
    }
  };
  const cancel = () => {
    setDraft(null);
    setError(null);
    if (isAsked) setQuery({ muting: null });
    requestAnimationFrame(() => opener.current?.focus());
  };
  const what = finding.title.replaceAll("`", "");
  return (
    <div class="stack tight">
      {error && <p class="notice bad" role="alert">{error}</p>}
      {finding.muted != null && <p class="row wrap"><span class="muted">Muted:</span> <span class="grow" data-testid="mute-reason">{finding.muted}</span> <button type="button" class="button" disabled={isBusy} aria-label={`Unmute: ${what}`} onClick={() => void ask(null)}>Unmute</button></p>}
      {finding.muted == null && draft == null && <p class="row"><button ref={opener} type="button" class="button quiet mute-opener" aria-label={`Mute: ${what}`} onClick={() => setDraft("")}>Mute…</button></p>}
      {finding.muted == null && draft != null && (
        <form class="mute" aria-label={`Mute: ${what}`} onSubmit={(event) => { event.preventDefault(); if (isReason(draft)) void ask(draft.trim()); }} onKeyDown={(event) => event.key === "Escape" && cancel()}>
          <label class="grow">
            <span>Why should nobody hear of it? It is muted in every run of this program.</span>
            <input class="field" ref={focusOnce} value={draft} maxLength={MAX_REASON} disabled={isBusy} onInput={(event) => setDraft(event.currentTarget.value)} />
          </label>
          <button class="button primary" disabled={isBusy || !isReason(draft)}>Mute</button>
          <button type="button" class="button" disabled={isBusy} onClick={cancel}>Cancel</button>
        </form>
      )}
    </div>
  );
}

/** Of one that was just asked for. The same function each time, or every key would move the focus. */
function focusOnce(input: HTMLInputElement | null): void {
  input?.focus();
}
