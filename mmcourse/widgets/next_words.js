// For texts that grow word by word: what may come next, draws, and a reader's own text, which the
// model behind a widget goes on with.

// Before and after the cuts, in this order: temperature, top-k, top-p.
function nextProbabilities(logits, temperature, topK, topP) {
  if (temperature === 0) {
    const best = logits.indexOf(Math.max(...logits));
    const certain = Array.from(logits, (_, i) => Number(i === best));
    return { before: certain, after: certain };
  }
  const before = softmax(logits, temperature);
  const lowest = topK ? Array.from(logits).sort((a, b) => b - a)[Math.min(topK, logits.length) - 1] : -Infinity;
  const few = softmax(Array.from(logits, (v) => (v < lowest ? -Infinity : v)), temperature);
  // From the least likely up: what together holds at most 1 − p goes, but never the last one.
  const rising = few.map((_, i) => i).sort((a, b) => few[a] - few[b]);
  const after = [...few];
  let tail = 0;
  for (const i of rising.slice(0, topP < 1 ? -1 : 0)) {
    tail += few[i];
    if (tail > 1 - topP) break;
    after[i] = 0;
  }
  const sum = after.reduce((a, b) => a + b, 0);
  return { before, after: after.map((p) => p / sum) };
}

// Mulberry32: a small generator of numbers in [0, 1).
function randomNumbers(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

// The first token at which the running sum of probabilities passes a random number.
function pick(p, u) {
  const last = p.reduce((found, value, i) => (value > 0 ? i : found), 0);
  let sum = 0;
  for (let i = 0; i < last; i++) if (u < (sum += p[i])) return i;
  return last;
}

function drawTokens(p, count, seed) {
  const next = randomNumbers(seed);
  return Array.from({ length: count }, () => pick(p, next()));
}

// ---------- texts: those that are stored, and those that the model was asked about ----------

const key = (tokens) => tokens.join(" ");
// [EOS], [PAD] and their like: a text does not go on after them.
const isMark = (word) => /^\[.*\]$/.test(word);

// What is known of texts, and the way from one to the next. `prefix` is the place of a stored text;
// −1 says that the text is `own` and its logits are `answer`. `desk` is null without a model.
function knownTexts(view, desk) {
  const [words, prefixes, length] = ["vocabulary", "prefixes", "length"].map(view.get);
  const all = halves(view.get("data"));
  const places = new Map(prefixes.map((tokens, i) => [key(tokens), i]));
  const asked = new Map(); // tokens → logits
  const here = () => (view.get("prefix") < 0 ? view.get("own") : prefixes[view.get("prefix")]);
  const known = (tokens) => places.has(key(tokens)) || asked.has(key(tokens));
  const reachable = (tokens) =>
    known(tokens) || (desk?.ready() && tokens.length <= length && !isMark(words[tokens.at(-1)]));
  const longer = (token) => (reachable([...here(), token]) ? [...here(), token] : undefined);

  function logits() {
    const place = view.get("prefix");
    return place < 0 ? view.get("answer") : all.slice(place * words.length, (place + 1) * words.length);
  }

  // One question answers for all beginnings of a text: what stands behind a place is not seen there.
  async function ask(tokens) {
    const data = new Int32Array(length).fill(words.indexOf("[PAD]"));
    data.set(tokens);
    const { out } = await desk.run("next", { ids: { data, dims: [1, length] } });
    tokens.forEach((_, i) => {
      const found = out.data.slice(i * words.length, (i + 1) * words.length);
      asked.set(key(tokens.slice(0, i + 1)), Array.from(found));
    });
  }

  // Show a text. It may fail where the model has to be asked.
  async function go(tokens) {
    const place = places.get(key(tokens));
    if (place !== undefined) return view.set({ prefix: place, draws: 0 });
    if (!asked.has(key(tokens))) await ask(tokens);
    view.set({ own: tokens, answer: asked.get(key(tokens)), prefix: -1, draws: 0 });
  }

  // Draws differ from text to text.
  function seed() {
    const place = view.get("prefix");
    const own = () => here().reduce((sum, token) => (Math.imul(sum, 31) + token + 1) >>> 0, 17);
    return view.get("seed") + 7919 * (place < 0 ? own() % 99991 : place);
  }
  const text = (tokens) => tokens.map((i) => words[i]).filter((word) => !isMark(word)).join(" ");
  return { words, prefixes, places, length, here, known, longer, logits, go, seed, text };
}

// [BOS] and the numbers of a text's words, as WordTokenizer has them, or {problem}: a sentence.
function readText(text, words, length) {
  const spoken = text.slice(0, 2000).normalize("NFC").toLowerCase().split(/\s+/u).filter((word) => word);
  if (!spoken.length) return { problem: "Type a beginning first: the line is empty." };
  const known = words.filter((word) => !isMark(word));
  const unknown = [...new Set(spoken.filter((word) => !known.includes(word)))];
  if (unknown.length) return { problem: `The model cannot read this: ${complaint(unknown, known)}.` };
  if (spoken.length >= length)
    return { problem: `The text is too long: the model has ${length} places, so at most ${length - 1} words fit.` };
  return { tokens: [words.indexOf("[BOS]"), ...spoken.map((word) => words.indexOf(word))] };
}

// ---------- a reader's own text: a line to type in, and writing on ----------

const PAUSE = 150; // milliseconds between two words, so that they can be watched and stopped
const LAST_SEED = 2 ** 32 - 1;

// {node, told()}: `told` says what has been written, "" for nothing.
function ownText(view, desk, texts) {
  const { words } = texts;
  let [written, writing, end] = [[], false, ""]; // [token, probability] each; why it ended
  let [shown, sown] = [null, null]; // the text and the seed that the fields were filled with
  const clear = () => ([written, end] = [[], ""]);

  async function begin(text) {
    const read = readText(text, words, texts.length);
    desk.told(read.problem ?? "");
    if (read.problem || key(read.tokens) === key(texts.here())) return !read.problem;
    clear();
    await texts.go(read.tokens);
    return true;
  }

  async function writeOn() {
    if (writing || !desk.ready()) return;
    const value = seed.value === "" ? NaN : Number(seed.value);
    if (!(Number.isInteger(value) && value >= 0 && value <= LAST_SEED))
      return desk.told(`Seed must be a whole number from 0 to ${LAST_SEED}.`);
    writing = true;
    view.set({ seed: value });
    try {
      if (await begin(line.line.value)) await wordByWord(randomNumbers(value));
    } catch {} // the desk says what happened
    writing = false;
    view.redraw();
  }

  // Word after word, until a text ends, there is no place left, or the reader stops or goes away.
  async function wordByWord(next) {
    clear();
    while (!end && texts.here().length < texts.length) {
      const before = texts.here();
      const dials = ["temperature", "top_k", "top_p"].map(view.get);
      const { after } = nextProbabilities(texts.logits(), ...dials);
      const token = pick(after, next());
      written.push([token, after[token]]);
      if (isMark(words[token])) return (end = `${words[token]} was drawn`);
      await texts.go([...before, token]);
      await new Promise((done) => setTimeout(done, PAUSE));
      if (key(texts.here()) !== key([...before, token])) return clear();
    }
    end ||= `all ${texts.length} places are full`;
  }

  const line = ownLine(view, desk, {
    label: "Your own beginning",
    button: "Ask the model",
    words: (text) => completions(text, words.filter((word) => !isMark(word))),
    ask: (text) => !writing && begin(text),
  });
  const seed = make("input", { type: "number", min: 0, max: LAST_SEED, step: 1 });
  seed.addEventListener("keydown", (event) => event.key === "Enter" && writeOn());
  const go = make("button", { class: "mm-button", type: "button", onclick: writeOn }, "Write on");
  const stop = () => (end = "stopped");
  const halt = make("button", { class: "mm-button", type: "button", onclick: stop }, "Stop");
  const list = make("ol", { class: "mm-written", "aria-label": "Written, each word with its probability" });

  view.updates.push(() => {
    const now = texts.here();
    if (shown !== key(now)) line.line.value = texts.text(now);
    if (shown !== key(now) && !writing) clear();
    shown = key(now);
    if (view.get("seed") !== sown) seed.value = sown = view.get("seed");
    seed.disabled = go.disabled = !desk.ready() || writing;
    go.textContent = writing ? "Writing …" : "Write on";
    halt.hidden = !writing;
    // What grows is not read out word by word; what it became is, once it stands.
    view.summary.setAttribute("aria-live", writing ? "off" : "polite");
    list.hidden = !written.length;
    const item = ([token, p]) => make("li", { "data-p": p }, words[token], " ", make("small", {}, share(p)));
    list.replaceChildren(...written.map(item));
  });
  const told = () => {
    if (!written.length || writing) return "";
    const together = written.reduce((product, [, p]) => product * p, 1);
    const spoken = written.filter(([token]) => !isMark(words[token])).length;
    const count = `${spoken} ${spoken === 1 ? "word" : "words"}`;
    return `Wrote ${count} (${end}); together their probability is ${share(together)}: “${texts.text(texts.here())}”. `;
  };
  const row = controls(field("Seed", seed), go, halt);
  return { node: make("div", { class: "mm-own" }, desk.node, line.node, row, list), told };
}

// 0.123 → "0.12", 0.00012 → "1.2e-4"
const share = (p) => (p >= 0.0995 ? p.toFixed(2) : p >= 0.000995 ? p.toFixed(3) : p.toExponential(1));
