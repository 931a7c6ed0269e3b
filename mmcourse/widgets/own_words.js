// A text that the reader types, for masked words: every hidden place is guessed by the model, and
// the attention of one token lies as shading over the others.

function ownWords(view, experimental) {
  const reads = view.get("reads");
  if (!reads.tokens) return "";
  const invite = "Type a sentence, in English or Korean, and press Enter; then click a piece to hide it.";
  const desk = modelDesk(view, experimental, { invite });
  const numbers = new Map(reads.tokens.map((token, i) => [token, i]));
  const mask = numbers.get("[MASK]");
  let text = null; // {tokens, segments, unknown, hidden: place → whether}: what is asked
  let seen = null; // the answer to it

  const { ask } = newest(view, async () => {
    const asked = text;
    const ids = asked.tokens.map((token, i) => (asked.hidden[i] ? mask : numbers.get(token)));
    const row = (values) => ({ data: padded(values, reads.length), dims: [1, reads.length] });
    const found = await desk.run("reader", { ids: row(ids), segments: row(asked.segments) });
    seen = { ...asked, ...found };
  });

  function read(typed) {
    const { problem, ...found } = readText(typed, reads);
    desk.told(problem ?? "");
    if (problem) return;
    text = { ...found, hidden: found.tokens.map((token) => token === "[MASK]") };
    at.query = Math.max(text.hidden.indexOf(true), 0) || 1;
    return ask();
  }

  function hide(i) {
    if (text.tokens !== seen.tokens) return; // another text is on its way
    at.query = i;
    view.redraw();
    // What stood at a [MASK] that was typed is not known: there is nothing to show again.
    if (text.tokens[i] === "[MASK]" || !desk.ready()) return;
    text = { ...text, hidden: text.hidden.map((gone, j) => (j === i ? !gone : gone)) };
    ask();
  }

  const at = { query: 1, layer: 0, head: -1 };
  const local = {
    ...view,
    get: (name) => at[name],
    set(state) {
      Object.assign(at, state);
      view.redraw();
    },
  };
  const line = ownLine(view, desk, {
    label: "Your own sentence; [MASK] for a hidden piece",
    button: "Read",
    start: reads.start,
    ask: read,
  });
  const board = answerBoard(view, local, () => seen, { pick: hide, tokens: reads.tokens });
  return make("div", { class: "mm-own" }, desk.node, line.node, board);
}

// Below the line: the tokens, what is guessed, and whom a token attends to.
function answerBoard(view, local, now, { pick, tokens: vocabulary }) {
  const line = wordLine(view, { hover: () => {}, pick, label: "Piece to hide or show" });
  const guesses = make("div", { class: "mm-hidden-places" });
  const said = make("p", { class: "mm-told", "aria-live": "polite" });
  const named = (token, i) => [i, `${i + 1}: ${now().hidden[i] ? "[MASK]" : token}`];
  const count = (axis) => (now() ? now().weights.dims[axis] : 0);
  const listed = (n, name) => Array.from({ length: n }, (_, i) => [i, `${name} ${i + 1}`]);
  const chosen = controls(
    choice(local, "query", { label: "Attention of", options: () => now()?.tokens.map(named) ?? [] }),
    choice(local, "layer", { label: "Layer", options: () => listed(count(1), "Layer") }),
    choice(local, "head", { label: "Head", options: () => [[-1, "Mean of the heads"], ...listed(count(2), "Head")] }),
  );
  const node = make("div", { class: "mm-board" }, line.node, chosen, said, guesses);
  let shown = null;
  view.updates.push(() => {
    const seen = now();
    node.hidden = !seen;
    if (!seen) return;
    const [layer, head] = [local.get("layer"), local.get("head")];
    const query = Math.min(local.get("query"), seen.tokens.length - 1);
    const shares = attended(seen.weights, layer, head, query, seen.tokens.length);
    const open = seen.tokens.map((token) => !["[CLS]", "[SEP]"].includes(token));
    const { tokens, hidden } = seen;
    const hides = (i) => hidden[i];
    const stop = open[query] ? query : open.indexOf(true);
    line.show({ tokens, open, hides, pressed: hides, stop, shares, query });
    if (shown !== seen) guesses.replaceChildren(...hiddenPlaces(seen, vocabulary));
    shown = seen;
    const words = summary(seen, shares, query, vocabulary);
    if (said.textContent !== words) said.textContent = words;
  });
  return node;
}

// A list of guesses for every hidden place.
function hiddenPlaces(seen, vocabulary) {
  const places = seen.tokens.map((_, i) => i).filter((i) => seen.hidden[i]);
  return places.map((i) => {
    const { best, truth } = guessed(seen, i, vocabulary);
    const rows = best.map(([word, p]) => guess(word, p, word === truth?.word));
    if (truth?.rank > best.length) rows.push(guess(truth.word, truth.share, true, truth.rank));
    const title = make("p", { class: "mm-title" }, `What could stand at place ${i + 1}?`);
    return make("div", {}, title, make("ol", { class: "mm-guesses" }, ...rows));
  });
}

// Place i: the five best [word, share], and where the word that stood there is, if it is known.
function guessed({ logits, tokens }, i, vocabulary) {
  const size = logits.dims[2];
  const shares = softmax(logits.data.subarray(i * size, (i + 1) * size));
  const best = largest(shares, 5).map(([id, p]) => [vocabulary[id], p]);
  if (tokens[i] === "[MASK]") return { best, truth: null };
  const share = shares[vocabulary.indexOf(tokens[i])];
  const rank = 1 + shares.filter((p) => p > share).length;
  return { best, truth: { word: tokens[i], share, rank } };
}

// The attention of a token to the first n; head −1 is the mean over the heads.
function attended({ data, dims: [, , heads, length] }, layer, head, query, n) {
  const row = (h) => data.subarray(((layer * heads + h) * length + query) * length).subarray(0, n);
  if (head >= 0) return Array.from(row(head));
  const rows = Array.from({ length: heads }, (_, h) => row(h));
  return Array.from({ length: n }, (_, j) => rows.reduce((sum, one) => sum + one[j], 0) / heads);
}

function summary(seen, shares, query, vocabulary) {
  const name = (i) => (seen.hidden[i] ? `[MASK] at place ${i + 1}` : seen.tokens[i]);
  const places = seen.tokens.map((_, i) => i).filter((i) => seen.hidden[i]);
  const first = places.map((i) => {
    const [word, p] = guessed(seen, i, vocabulary).best[0];
    return `“${word}” at place ${i + 1}, ${percent(p)}`;
  });
  const few = seen.unknown.slice(0, 5).map((word) => `“${word.slice(0, 30)}”`);
  const more = seen.unknown.length > 5 ? ` and ${seen.unknown.length - 5} more` : "";
  const lost = few.length ? ` Read as [UNK], as the model does not know it: ${few.join(", ")}${more}.` : "";
  const told = first.length ? `First guess: ${first.join("; ")}.` : "Nothing is hidden yet: click a piece.";
  const best = largest(shares, 3).map(([j, w]) => `“${name(j)}” ${w.toFixed(2)}`);
  return `${told}${lost} “${name(query)}” attends most to ${best.join(", ")}.`;
}

const padded = (values, length) => Int32Array.from({ length }, (_, i) => values[i] ?? 0);
