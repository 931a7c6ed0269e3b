// A CLIP's text tower in a page: texts to numbers, and vectors that the widget carries.

// For the state of a reader: {encode, row, batch}; encode gives {ids, words} or {problem}.
function textReader({ words, signs: [start, end, pad], length, rows }) {
  const tokens = new Map(Object.entries(words));
  const known = [...tokens.keys()];

  function split(text) {
    return text
      .normalize("NFC")
      .toLowerCase()
      .split(/\s+/u)
      .map((word) => (tokens.has(word) ? word : word.replace(/^[^\p{L}\p{N}]+|[^\p{L}\p{N}]+$/gu, "")))
      .filter((word) => word);
  }

  function row(found) {
    const ids = [start, ...found.flatMap((word) => tokens.get(word)), end];
    return [...ids, ...Array(Math.max(0, length - ids.length)).fill(pad)];
  }

  // `what` names the text in a complaint, such as "A caption"; `allowed` bounds its words.
  function encode(text, what, allowed = length) {
    const most = Math.min(allowed, length - 2);
    const found = split(text.slice(0, 2000)); // no text is that long
    if (!found.length) return { problem: `${what} needs at least one word, got an empty one.` };
    if (found.length > most) {
      const more = text.length > 2000 ? " or more" : "";
      return { problem: `${what} has at most ${most} words here, got ${found.length}${more}.` };
    }
    const unknown = [...new Set(found.filter((word) => !tokens.has(word)))];
    const many = unknown.length > 1 ? "" : "an ";
    if (unknown.length) return { problem: `${what} has ${many}${complaint(unknown, known)}.` };
    const ids = row(found);
    if (ids.length > length)
      return { problem: `${what} is too long: ${ids.length} tokens, where the model reads ${length}.` };
    return { ids, words: found };
  }

  // What the network is asked: as many rows as it wants, the last one repeated.
  function batch(lists) {
    const all = Array.from({ length: rows }, (_, i) => lists[Math.min(i, lists.length - 1)]);
    return { ids: { data: Int32Array.from(all.flat()), dims: [rows, length] } };
  }
  return { encode, row, batch };
}

// The vectors of `count` texts in what a network gave.
function vectorsOf({ data, dims }, count) {
  return Array.from({ length: count }, (_, i) => Array.from(data.subarray(i * dims[1], (i + 1) * dims[1])));
}

// What a widget carries: {seen: for each reader the pictures' vectors, read: for each stored
// answer the texts' vectors, file: the pictures}.
function unpacked(data, count, readers, stored) {
  let at = 0;
  const take = (rows, d) =>
    Array.from({ length: rows }, () => {
      at += 2 * d;
      return Array.from(halves(data, at - 2 * d, d));
    });
  const seen = readers.map(({ d }) => take(count, d));
  const read = stored.map(({ texts, reader }) => take(texts, readers[reader].d));
  return { seen, read, file: new Blob([bytes(data).subarray(at)], { type: "image/webp" }) };
}

// What a widget of readers asks and shows. `fill(answer)` puts an answer into the fields;
// `read()` gives {reader, rows, answer} of what they hold, or {problem}. `shown()` is the page's own
// answer or a stored one, with `read`, its texts' vectors; `ask(event)` asks the text tower.
function askedReader({ view, model, desk, readers, states, stored, read: vectors }, { fill, read }) {
  let own = null;
  const line = newest(view, async () => {
    if (!desk.ready()) return;
    const { problem, reader, rows, answer } = read();
    if (problem) return desk.told(problem);
    desk.told("");
    const before = view.get("asked");
    const { out } = await desk.run(states[reader].part, readers[reader].batch(rows));
    if (view.get("asked") !== before) return; // a preset was pressed meanwhile: that is wanted
    own = { reader, ...answer, read: vectorsOf(out, rows.length) };
    view.set({ asked: -1 });
  });
  const ask = (event) => {
    event?.preventDefault();
    line.ask();
  };
  const shown = () => {
    const asked = view.get("asked");
    if (asked < 0 && own) return own;
    return { ...stored[Math.max(asked, 0)], read: vectors[Math.max(asked, 0)] };
  };
  const follow = () => (view.get("asked") < 0 && own) || fill(shown());
  model.on("change:asked", follow);
  view.tidy(() => model.off("change:asked", follow));
  follow();
  return { ask, shown, busy: line.busy };
}

const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);
const percent = (share) => (share < 0.01 ? "< 1 %" : share > 0.99 ? "> 99 %" : `${Math.round(100 * share)} %`);
