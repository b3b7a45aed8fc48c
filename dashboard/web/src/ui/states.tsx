//! What a page shows instead of data: nothing yet, nothing at all, or what went wrong and what to do about it.

import type { ComponentChildren } from "preact";
import type { Loaded } from "../api/use_api.ts";
import { Icon } from "./icons.tsx";

export function Loading({ lines = 6 }: { lines?: number }) {
  return (
    <div class="skeleton" role="status" aria-label="Loading">
      {Array.from({ length: lines }, (_, k) => <i key={k} />)}
    </div>
  );
}

/** `isPage`: it is all that the page has. */
export function Empty({ title, children, isPage = false }: { title: string; children?: ComponentChildren; isPage?: boolean }) {
  const Heading = isPage ? "h1" : "h2";
  return (
    <div class="state" data-testid="empty">
      <Heading>{title}</Heading>
      {children}
    </div>
  );
}

export function Failed({ error, retry, isPage = false }: { error: Error; retry?: () => void; isPage?: boolean }) {
  const Heading = isPage ? "h1" : "h2";
  return (
    <div class="state" role="alert" data-testid="error">
      <Icon name="warn" size={24} />
      <Heading>This could not be loaded</Heading>
      <p>{error.message}</p>
      {retry && <button class="button" onClick={retry}>Try again</button>}
    </div>
  );
}

/** Shows `children` once there is data; an error after that is a line above the old data, not instead of it. */
export function Ready<T>({ of, children, lines, isPage = false }: { of: Loaded<T>; children: (data: T) => ComponentChildren; lines?: number; isPage?: boolean }) {
  if (of.data == null) return of.error ? <Failed error={of.error} retry={of.reload} isPage={isPage} /> : <Loading {...(lines ? { lines } : {})} />;
  return (
    <>
      {of.error && (
        <div class="notice bad" role="alert">
          <span class="grow">{of.error.message} What you see is older.</span>
          <button class="button" onClick={of.reload}>Try again</button>
        </div>
      )}
      {children(of.data)}
    </>
  );
}
