// A sentence that the reader types, for the attention explorer: the model says what its pronoun
// stands for, and its weights are shown like those of a stored sentence.

const OWN = -1; // where a stored sentence has its number

// {node, now(), stored, names(), say()}: now() is the own sentence while it is on show; `stored` is
// the view for controls that choose a sentence, `names()` what they list besides the stored ones.
function ownSentence(model, view, experimental) {
  const reads = view.get("reads");
  if (!reads.words) return { node: "", now: () => null, stored: view, names: () => [], say: () => "" };
  const invite = `Change a word and press Enter: what does “${reads.pronoun}” stand for now?`;
  const desk = modelDesk(view, experimental, { invite });
  const known = reads.words.slice(1); // the first is the filling
  let [last, mine, before] = [null, null, null]; // read last; on show; read before that

  async function ask(text) {
    const read = readSentence(text, reads);
    if (read.problem) return desk.told(read.problem);
    desk.told("");
    const ids = { data: Int32Array.from(read.ids), dims: [1, reads.length] };
    const found = await desk.run("reader", { ids });
    if (last?.tokens.join(" ") !== read.words.join(" ")) before = last; // not the same once more
    last = mine = {
      ...within(found.weights, read.words.length),
      tokens: read.words,
      answers: largest(softmax(found.logits.data), 4).map(([i, p]) => [reads.answers[i], p]),
      pinned: read.words.indexOf(reads.pronoun),
    };
  }

  const stored = {
    ...view,
    get: (name) => (mine && name === "sentence" ? OWN : view.get(name)),
    set(state) {
      const own = state.sentence === OWN;
      mine = own ? last : null;
      if (!own) view.set(state);
      view.redraw();
    },
  };
  const names = () => (last ? [[OWN, `Yours: … ${last.tokens.slice(-4).join(" ")}`]] : []);
  const leave = () => (mine = null); // a kernel chooses
  model.on("change:sentence", leave);
  view.tidy(() => model.off("change:sentence", leave));

  const title = make("p", { class: "mm-title" });
  const bars = make("ol", { class: "mm-top mm-answers" });
  const note = make("p", { class: "mm-hint" });
  const answer = make("div", { class: "mm-answer" }, title, bars, note);
  view.updates.push(() => {
    answer.hidden = !mine;
    if (!mine) return;
    title.textContent = `“${reads.pronoun}” stands for`;
    bars.replaceChildren(...mine.answers.map(([noun, p]) => answerBar(noun, p)));
    note.textContent = mine === last && before ? `Before, in “${before.tokens.join(" ")}”: ${best(before)}.` : "";
  });
  const line = ownLine(view, desk, {
    label: `Your own sentence, with “${reads.pronoun}”`,
    button: "Read it",
    start: reads.start,
    words: (text) => completions(text, known),
    ask,
  });
  const node = make("div", { class: "mm-own" }, desk.node, line.node, answer);
  const say = () => (mine ? `The model says that “${reads.pronoun}” stands for ${best(mine)}. ` : "");
  return { node, now: () => mine, stored, names, say };
}

const best = ({ answers: [[noun, p]] }) => `“${noun}”, ${p.toFixed(2)}`;

function answerBar(noun, p) {
  const node = bar(noun, p);
  node.dataset.share = p;
  return node;
}

// The part of weights (1, layers, heads, length, length) that belongs to the first n words.
function within({ data, dims: [, layers, heads, length] }, n) {
  const weights = new Float32Array(layers * heads * n * n);
  let to = 0;
  for (let matrix = 0; matrix < layers * heads; matrix++)
    for (let i = 0; i < n; i++)
      for (let j = 0; j < n; j++) weights[to++] = data[(matrix * length + i) * length + j];
  return { weights, shape: [layers, heads, n, n] };
}

// {ids, words} of a sentence, or {problem}: why the model cannot read it.
function readSentence(text, { words, pronoun, length }) {
  const numbers = new Map(words.map((word, i) => [word, i]).slice(1));
  const bare = (word) => word.replace(/^[^\p{L}\p{N}]+|[^\p{L}\p{N}]+$/gu, "");
  const found = text.normalize("NFC").toLowerCase().split(/\s+/u).map(bare).filter(Boolean);
  if (!found.length) return { problem: "Type a sentence: there are no words yet." };
  if (found.length > length) return { problem: `The model reads at most ${length} words; this sentence has more.` };
  const unknown = [...new Set(found.filter((word) => !numbers.has(word)))];
  if (unknown.length) return { problem: `The sentence has ${counted(unknown)}${complaint(unknown, [...numbers.keys()])}.` };
  const times = found.filter((word) => word === pronoun).length;
  if (times !== 1) return { problem: `The sentence needs the word “${pronoun}” once, and has it ${times ? `${times} times` : "not at all"}.` };
  const ids = found.map((word) => numbers.get(word));
  return { ids: [...ids, ...Array(length - ids.length).fill(0)], words: found };
}

const counted = (unknown) => (unknown.length > 1 ? "" : "an ");

export { readSentence, within };
