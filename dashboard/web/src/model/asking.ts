//! What is shown of a question while it is asked.

export interface Asked<T> {
  readonly subject: unknown;
  readonly data: T | null;
  readonly error: Error | null;
  readonly isLoading: boolean;
}

/**
 * What is known of the subject stays. So does an error if the same is asked again by itself, as new data comes in: it would else go and
 * come with every tick, and be read aloud each time. Whoever asks anew sees that it is asked.
 */
export function asking<T>(old: Asked<T>, subject: unknown, isSameQuestion: boolean): Asked<T> {
  const isSameSubject = old.subject === subject;
  return { subject, data: isSameSubject ? old.data : null, error: isSameSubject && isSameQuestion ? old.error : null, isLoading: true };
}
