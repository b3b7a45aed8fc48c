//! The only place that speaks HTTP. Errors arrive as sentences that say what to do.

import { href, type Changes } from "../model/query_string.ts";
import type { QueryAnswer, TextPlace } from "./types.ts";

export class ApiError extends Error {
  constructor(
    message: string,
    /** 0 when no answer came at all. */
    readonly status: number,
    /** Where in the statement that was sent. */
    readonly at: TextPlace | null = null,
    /** Of a filter that cannot be read: which part, in UTF-16 units. */
    readonly part: readonly [number, number] | null = null,
  ) {
    super(message);
  }
}

/** `/api/v1/slow?process=1`, in one fixed order of keys so that equal requests are equal text. */
export function apiUrl(path: string, query: Changes = {}): string {
  return href(`/api/v1${path}`, query);
}

export async function get<T>(url: string, signal?: AbortSignal): Promise<T> {
  return request<T>(url, { signal: signal ?? null, headers: { accept: "application/json" } });
}

/** Longer than a script gets: whoever asks sees that it runs, and can stop it. */
const QUERY_TIMEOUT_MS = 30_000;

export async function runQuery(sql: string, limit: number, signal?: AbortSignal): Promise<QueryAnswer> {
  return request<QueryAnswer>(apiUrl("/query"), {
    method: "POST",
    signal: signal ?? null,
    headers: { "content-type": "application/json", accept: "application/json" },
    body: JSON.stringify({ sql, limit, timeout_ms: QUERY_TIMEOUT_MS }),
  });
}

/** Has the server do something. */
export async function post<T>(url: string, body: object): Promise<T> {
  return request<T>(url, {
    method: "POST",
    headers: { "content-type": "application/json", accept: "application/json" },
    body: JSON.stringify(body),
  });
}

/** Changes what the server keeps; answers with what it keeps now. */
export async function change<T>(url: string, body: object): Promise<T> {
  return request<T>(url, {
    method: "PATCH",
    headers: { "content-type": "application/json", accept: "application/json" },
    body: JSON.stringify(body),
  });
}

/** What is not JSON. */
export async function getBytes(url: string, accept: string, signal?: AbortSignal): Promise<ArrayBuffer> {
  return (await answer(url, { signal: signal ?? null, headers: { accept } })).arrayBuffer();
}

/** Has the server remove something; answers with what it was. */
export async function remove<T>(url: string): Promise<T> {
  return request<T>(url, { method: "DELETE", headers: { accept: "application/json" } });
}

async function request<T>(url: string, init: RequestInit): Promise<T> {
  return (await (await answer(url, init)).json()) as T;
}

async function answer(url: string, init: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, init);
  } catch (cause) {
    if (isAbort(cause)) throw cause;
    throw new ApiError("loopd does not answer. Is `loopd serve` still running?", 0);
  }
  if (response.ok) return response;
  throw await errorOf(response);
}

async function errorOf(response: Response): Promise<ApiError> {
  const { status } = response;
  if (status === 401) return new ApiError("loopd wants a token. Open the address that `loopd serve` printed, with its ?token=… part.", status);
  try {
    const body = (await response.json()) as { error?: unknown; at?: TextPlace; part?: [number, number] };
    if (typeof body.error === "string") return new ApiError(body.error, status, body.at ?? null, body.part ?? null);
  } catch {
    // Not JSON: a proxy answered, or the connection broke half-way. The status is all we know.
  }
  return new ApiError(`loopd answered ${status} ${response.statusText}`.trim(), status);
}

export function isAbort(cause: unknown): boolean {
  return cause instanceof DOMException && cause.name === "AbortError";
}
