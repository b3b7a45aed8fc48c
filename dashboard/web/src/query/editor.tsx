//! The editor of the statement: CodeMirror, in a shadow root of its own, because the page's policy allows no style elements and
//! a shadow root takes its styles from script.

import { autocompletion, closeBrackets, closeBracketsKeymap, closeCompletion, completionKeymap, type Completion, type CompletionContext, type CompletionResult } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { keywordCompletionSource, SQLite } from "@codemirror/lang-sql";
import { bracketMatching, HighlightStyle, LanguageSupport, syntaxHighlighting } from "@codemirror/language";
import { EditorState, Prec, StateEffect, StateField } from "@codemirror/state";
import { Decoration, drawSelection, EditorView, highlightSpecialChars, keymap, placeholder, type DecorationSet } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { useEffect, useRef } from "preact/hooks";
import type { Schema } from "../api/types.ts";
import { completionsAt } from "./complete.ts";

export interface EditorProps {
  /** The text to begin with, and again whenever this is another object. What is typed since is the editor's own: a text that came
   * back late would undo what was typed meanwhile. */
  readonly given: { readonly sql: string };
  readonly onInput: (text: string) => void;
  readonly onRun: () => void;
  readonly schema: Schema | null;
  /** What SQLite does not accept. */
  readonly error: { readonly from: number; readonly to: number } | null;
  /** Told how to insert text where the cursor is. */
  readonly onReady: (insert: (text: string) => void) => void;
}

export function Editor(props: EditorProps) {
  const host = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView | null>(null);
  const latest = useRef(props);
  latest.current = props;
  useEffect(() => {
    const root = host.current!.shadowRoot ?? host.current!.attachShadow({ mode: "open", delegatesFocus: true });
    const editor = new EditorView({ state: EditorState.create({ doc: latest.current.given.sql, extensions: extensions(latest) }), parent: root, root });
    view.current = editor;
    latest.current.onReady((text) => {
      editor.dispatch(editor.state.replaceSelection(text));
      editor.focus();
    });
    return () => editor.destroy();
  }, []);
  useEffect(() => {
    const editor = view.current!;
    if (editor.state.doc.toString() === props.given.sql) return;
    editor.dispatch({ changes: { from: 0, to: editor.state.doc.length, insert: props.given.sql } });
  }, [props.given]);
  useEffect(() => {
    const editor = view.current!;
    const error = props.error && props.error.to <= editor.state.doc.length ? props.error : null;
    editor.dispatch({ effects: setError.of(error) });
  }, [props.error?.from, props.error?.to]);
  return <div class="editor" ref={host} data-search />;
}

/** Left to itself, the browser gives text that takes the place of coloured text a style attribute, which the page's policy refuses. */
function replaceSelection(event: InputEvent, view: EditorView): boolean {
  const text = event.inputType === "insertText" ? event.data : event.inputType.startsWith("delete") ? "" : null;
  if (text == null || event.isComposing || view.state.selection.main.empty) return false;
  event.preventDefault();
  view.dispatch(view.state.replaceSelection(text), { userEvent: text === "" ? "delete" : "input.type", scrollIntoView: true });
  return true;
}

type Latest = { current: EditorProps };

function extensions(latest: Latest) {
  return [
    Prec.highest(keymap.of([{ key: "Mod-Enter", run: (view) => (closeCompletion(view), latest.current.onRun(), true) }])),
    keymap.of([...closeBracketsKeymap, ...completionKeymap, ...historyKeymap, ...defaultKeymap, indentWithTab]),
    history(),
    highlightSpecialChars(),
    drawSelection(),
    bracketMatching(),
    closeBrackets(),
    EditorView.lineWrapping,
    placeholder("SELECT …"),
    new LanguageSupport(SQLite.language),
    autocompletion({ override: [(context) => complete(context, latest), keywordCompletionSource(SQLite, true)], icons: false, maxRenderedOptions: 60 }),
    syntaxHighlighting(COLORS),
    errorField,
    THEME,
    EditorView.contentAttributes.of({
      "aria-label": "SQL. Control Enter runs it. Tab indents; Escape, then Tab, leaves the editor.", "data-testid": "sql", spellcheck: "false", autocapitalize: "off", autocorrect: "off",
    }),
    EditorView.domEventHandlers({ beforeinput: replaceSelection }),
    EditorView.updateListener.of((update) => {
      if (update.docChanged) latest.current.onInput(update.state.doc.toString());
    }),
  ];
}

function complete(context: CompletionContext, latest: Latest): CompletionResult | null {
  const { schema } = latest.current;
  const found = schema && completionsAt(schema, context.state.doc.toString(), context.pos, context.explicit);
  if (!found) return null;
  const options = found.offered.map((one): Completion => ({ label: one.label, detail: one.detail, info: one.about, type: one.kind, apply: one.text, boost: one.boost }));
  return { from: found.from, options, validFor: /^[A-Za-z0-9_]*$/ };
}

const setError = StateEffect.define<{ readonly from: number; readonly to: number } | null>();
const ERROR = Decoration.mark({ class: "cm-wrong" });

/** The mark stays where it is until the statement runs again or what is marked was changed. */
const errorField = StateField.define<DecorationSet>({
  create: () => Decoration.none,
  update(marks, transaction) {
    let next = marks.map(transaction.changes);
    for (const effect of transaction.effects) {
      if (effect.is(setError)) next = effect.value ? Decoration.set([ERROR.range(effect.value.from, effect.value.to)]) : Decoration.none;
    }
    return next;
  },
  provide: (field) => EditorView.decorations.from(field),
});

// The page's own colours, so that a theme is one file.
const COLORS = HighlightStyle.define([
  { tag: tags.keyword, color: "var(--code-keyword)", fontWeight: "600" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--code-string)" },
  { tag: [tags.number, tags.bool, tags.null], color: "var(--code-number)" },
  { tag: [tags.lineComment, tags.blockComment], color: "var(--ink-3)", fontStyle: "italic" },
  { tag: [tags.typeName, tags.standard(tags.name)], color: "var(--code-type)" },
  { tag: [tags.operator, tags.punctuation, tags.paren], color: "var(--ink-2)" },
]);

const THEME = EditorView.theme({
  "&": { color: "var(--ink)", fontSize: "13px", maxHeight: "420px" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "20px", minHeight: "144px", overflow: "auto" },
  ".cm-content": { padding: "12px 0", caretColor: "var(--ink)" },
  ".cm-line": { padding: "0 16px" },
  ".cm-cursor": { borderLeftColor: "var(--ink)", borderLeftWidth: "2px" },
  ".cm-placeholder": { color: "var(--ink-3)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": { background: "var(--selection) !important" },
  "&.cm-focused .cm-matchingBracket": { background: "var(--accent-soft)", outline: "1px solid var(--line-strong)" },
  "&.cm-focused .cm-nonmatchingBracket": { background: "var(--bad-soft)" },
  ".cm-wrong": { textDecoration: "underline wavy var(--bad) 1.5px", textUnderlineOffset: "3px", background: "var(--bad-soft)" },
  ".cm-tooltip": { border: "1px solid var(--line-strong)", borderRadius: "6px", background: "var(--raised)", color: "var(--ink)", boxShadow: "var(--shadow-high)", zIndex: "30" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul": { fontFamily: "var(--mono)", fontSize: "12px", maxHeight: "224px", minWidth: "220px" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul > li": { display: "flex", gap: "12px", padding: "3px 8px", lineHeight: "18px" },
  ".cm-tooltip-autocomplete ul li[aria-selected]": { background: "var(--accent-soft)", color: "var(--ink)" },
  ".cm-completionLabel": { flex: "1 0 auto" },
  ".cm-completionMatchedText": { textDecoration: "none", fontWeight: "700", color: "var(--accent)" },
  ".cm-completionDetail": { margin: "0", fontStyle: "normal", color: "var(--ink-3)", overflow: "hidden", textOverflow: "ellipsis", maxWidth: "200px" },
  ".cm-tooltip.cm-completionInfo": { padding: "6px 10px", maxWidth: "280px", fontFamily: "var(--font)", fontSize: "12px", lineHeight: "17px", color: "var(--ink-2)" },
});
