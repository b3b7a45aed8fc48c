//! What pages say of findings and rules, without drawing any.

import type { Finding, RuleState } from "../api/types.ts";
import { plural } from "../base/format.ts";

/** The rule that says that records were lost: no fault of the program, but all numbers are bounds then. */
export const CAPTURE_INCOMPLETE = "capture_incomplete";

/** `blocking_call` is "blocking call". */
export function ruleText(rule: string): string {
  return rule.replaceAll("_", " ");
}

/** What names a finding in the address. The server makes the same for its links. */
export function findingKey(finding: { readonly rule: string; readonly subject: string }): string {
  return `${finding.rule}:${finding.subject}`;
}

/** Apart: what matters, and what a healthy program may have as well. The order is the server's. */
export function apart<F extends Pick<Finding, "rule" | "level">>(findings: readonly F[]): { important: F[]; worthKnowing: F[] } {
  const matters = (it: F) => it.level !== "info" || it.rule === CAPTURE_INCOMPLETE;
  return { important: findings.filter(matters), worthKnowing: findings.filter((it) => !matters(it)) };
}

/** Apart: what is heard, and what is muted. */
export function byMute<F extends Pick<Finding, "muted">>(findings: readonly F[]): { heard: F[]; muted: F[] } {
  return { heard: findings.filter((it) => it.muted == null), muted: findings.filter((it) => it.muted != null) };
}

/** A reason as the server takes it: something, and of at most this many bytes. */
export const MAX_REASON = 1024;

export function isReason(text: string): boolean {
  const { length } = new TextEncoder().encode(text.trim());
  return length > 0 && length <= MAX_REASON;
}

/** How many rules looked, and how many could not. */
export function looked(rules: readonly Pick<RuleState, "state">[]): string {
  const count = (...states: RuleState["state"][]) => rules.filter((rule) => states.includes(rule.state)).length;
  const needs = count("needs");
  const text = `${plural(count("found", "ok"), "rule")} looked`;
  return needs > 0 ? `${text}, ${needs} more ${needs === 1 ? "needs" : "need"} what was not captured` : text;
}

/** A link of the server's, as far as it stays on this page. */
export function localHref(href: string, otherwise: string): string {
  return /^\/(?!\/|api\/)/.test(href) ? href : otherwise;
}
