//! Questions that are asked while somebody types: the last one counts, after a short rest, and an answer to an earlier one is dropped.

export interface Latest<Question> {
  /** Asks after the rest; what was asked before is given up. */
  ask: (question: Question) => void;
  /** Gives up what is asked. */
  stop: () => void;
}

export function latest<Question, Answer>(
  answer: (question: Question, signal: AbortSignal) => Promise<Answer>,
  told: (question: Question, answer: Answer | null, error: Error | null) => void,
  rest: number,
): Latest<Question> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let controller: AbortController | null = null;
  const stop = () => {
    clearTimeout(timer);
    controller?.abort();
    controller = null;
  };
  const start = (question: Question) => {
    const mine = new AbortController();
    controller = mine;
    // An abort may come too late to keep an answer from arriving.
    answer(question, mine.signal).then(
      (value) => controller === mine && told(question, value, null),
      (cause: unknown) => controller === mine && told(question, null, cause instanceof Error ? cause : new Error(String(cause))),
    );
  };
  return {
    ask: (question) => {
      stop();
      timer = setTimeout(() => start(question), rest);
    },
    stop,
  };
}
