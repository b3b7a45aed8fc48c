//! Pages that are fetched when they are first opened, so that the first page is there at once.

import type { ComponentChildren, ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Failed, Loading } from "./states.tsx";

/** A component that loads itself; once loaded it stays. `waiting` draws what is there until then. */
export function lazy<Props extends object>(load: () => Promise<ComponentType<Props>>, waiting: () => ComponentChildren = () => <Loading />): ComponentType<Props> {
  let loaded: ComponentType<Props> | null = null;
  return function Lazy(props: Props) {
    const [error, setError] = useState<Error | null>(null);
    const [, setLoaded] = useState(loaded != null);
    const start = () => {
      setError(null);
      load().then((view) => { loaded = view; setLoaded(true); }).catch(() => setError(new Error("This page could not be fetched. Is `loopd serve` still running?")));
    };
    useEffect(() => { if (!loaded) start(); }, []);
    if (error) return <Failed error={error} retry={start} isPage />;
    const View = loaded;
    return View ? <View {...props} /> : <>{waiting()}</>;
  };
}
