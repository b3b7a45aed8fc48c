// GET, POST, PATCH and DELETE /notes, kept as long as the mock runs.

const notes = [];
let next = 1;

/** What to answer, or null for a path that is none of notes. `body` is the parsed one of a change. */
export function answerNotes(method, path, q, body) {
  if (path === "/notes") {
    if (method === "POST") return add(body);
    const found = notes.filter((note) => isWanted(note, q)).sort((a, b) => (BigInt(a.from) < BigInt(b.from) ? -1 : 1));
    return { notes: found.slice(0, Number(q.get("limit") ?? 500)) };
  }
  const id = /^\/notes\/(\d+)$/.exec(path)?.[1];
  const note = id && notes.find((one) => String(one.note) === id);
  if (!note) return null;
  if (method === "DELETE") notes.splice(notes.indexOf(note), 1);
  if (method === "PATCH") Object.assign(note, body, { changed_at: now() });
  return note;
}

function add({ from, to = from, text, author = null, process = null }) {
  const note = { note: next++, process, from, to, text: text.trim(), author, made_at: now(), changed_at: null };
  notes.push(note);
  return note;
}

function isWanted(note, q) {
  if (q.has("process") && note.process != null && String(note.process) !== q.get("process")) return false;
  return !q.has("q") || `${note.text} ${note.author ?? ""}`.toLowerCase().includes(q.get("q").toLowerCase());
}

function now() {
  return String(BigInt(Date.now()) * 1_000_000n);
}
