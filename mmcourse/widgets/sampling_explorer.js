// The next token's probabilities under temperature, top-k and top-p, and draws from them.

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
function drawTokens(p, count, seed) {
  const next = randomNumbers(seed);
  const last = p.reduce((found, value, i) => (value > 0 ? i : found), 0);
  return Array.from({ length: count }, () => {
    const u = next();
    let sum = 0;
    for (let i = 0; i < last; i++) if (u < (sum += p[i])) return i;
    return last;
  });
}

const SHOWN = 12;
const MOST_DRAWS = 1000;

// A range over numbers that need not be whole.
function dial(view, trait, { label, min, max, step, format }) {
  const move = () => view.set({ [trait]: Number(input.value) });
  const input = make("input", { type: "range", min, max, step, oninput: move });
  const shown = make("span", { class: "mm-value", "aria-hidden": "true" });
  view.updates.push(() => {
    input.value = view.get(trait);
    shown.textContent = format(view.get(trait));
    input.setAttribute("aria-valuetext", shown.textContent);
  });
  return field(label, input, shown);
}

function render({ model, el }) {
  const view = widget({ model, el }, "Sampling explorer");
  const words = view.get("vocabulary");
  const prefixes = view.get("prefixes");
  const all = halves(view.get("data"));
  const key = (tokens) => tokens.join(" ");
  const places = new Map(prefixes.map((tokens, i) => [key(tokens), i]));
  const here = () => prefixes[view.get("prefix")];
  const longer = (token) => places.get(key([...here(), token]));
  const go = (prefix) => prefix !== undefined && view.set({ prefix, draws: 0 });
  const text = (tokens) => tokens.map((i) => words[i]).join(" ");

  const line = make("div", { class: "mm-prefix", role: "group", "aria-label": "The text so far" });
  const list = make("ol", { class: "mm-next" });
  const roots = prefixes
    .map((tokens, i) => [i, text(tokens)])
    .filter(([i]) => !places.has(key(prefixes[i].slice(0, -1))));
  const press = (words, act) =>
    make("button", { type: "button", class: "mm-button", onclick: act }, words);
  const more = (count) => () =>
    view.set({ draws: Math.min(view.get("draws") + count, MOST_DRAWS) });
  let drawn = [];
  const one = press("Draw", more(1));
  const hundred = press("Draw 100", more(100));
  const clear = press("Clear", () => view.set({ draws: 0 }));
  const append = press("Append the last draw", () => go(longer(drawn.at(-1))));
  const buttons = make("div", { class: "mm-presets" }, one, hundred, clear, append);

  // The words so far: each leads back to where it was the last one.
  function showPrefix() {
    const tokens = here();
    line.replaceChildren(
      ...tokens.map((token, i) => {
        const place = places.get(key(tokens.slice(0, i + 1)));
        if (place === undefined || i === tokens.length - 1)
          return make("span", { class: "mm-said" }, words[token]);
        const back = { type: "button", class: "mm-said", onclick: () => go(place) };
        return make("button", { ...back, "aria-label": `Back to “${words[token]}”` }, words[token]);
      }),
      make("span", { class: "mm-cursor", "aria-hidden": "true" }),
    );
  }

  function row(token, { before, after }, counts, top) {
    const cut = after[token] === 0;
    const share = cut ? before[token] : after[token];
    const width = (value) => `width:${Math.min((100 * value) / top, 100)}%`;
    const place = longer(token);
    const name =
      place === undefined
        ? make("span", { class: "mm-word" }, words[token])
        : make("button", { type: "button", class: "mm-word", onclick: () => go(place) }, words[token]);
    if (place !== undefined) name.setAttribute("aria-label", `Append “${words[token]}”`);
    const bars = [make("i", { class: cut ? "mm-off" : "mm-on", style: width(share) })];
    if (counts[token]) {
      bars.push(make("i", { class: "mm-tally", style: width(counts[token] / drawn.length) }));
    }
    const said = cut ? "cut" : share.toFixed(share < 0.0995 ? 3 : 2);
    const count = drawn.length ? make("small", {}, `${counts[token]}×`) : null;
    const track = make("span", { class: "mm-track", "aria-hidden": "true" }, ...bars);
    return make("li", {}, name, track, make("b", {}, said), count);
  }

  function rest(order, { before, after }, counts, top) {
    if (!order.length) return [];
    const total = (values) => order.reduce((sum, i) => sum + values[i], 0);
    const summed = { before: [total(before)], after: [total(after)] };
    const { length } = drawn;
    const item = make("li", { class: "mm-rest" });
    const cut = summed.after[0] === 0;
    const share = cut ? summed.before[0] : summed.after[0];
    const width = `width:${Math.min((100 * share) / top, 100)}%`;
    const bar = make("i", { class: cut ? "mm-off" : "mm-on", style: width });
    item.append(
      make("span", { class: "mm-word" }, `${order.length} others`),
      make("span", { class: "mm-track", "aria-hidden": "true" }, bar),
      make("b", {}, cut ? "cut" : share.toFixed(share < 0.0995 ? 3 : 2)),
    );
    if (length) item.append(make("small", {}, `${total(counts)}×`));
    return [item];
  }

  view.draw = () => {
    const at = view.get("prefix");
    const logits = all.slice(at * words.length, (at + 1) * words.length);
    const [topK, topP] = [view.get("top_k"), view.get("top_p")];
    const both = nextProbabilities(logits, view.get("temperature"), topK, topP);
    const { before, after } = both;
    drawn = drawTokens(after, view.get("draws"), view.get("seed") + 7919 * at);
    const counts = words.map(() => 0);
    drawn.forEach((token) => counts[token]++);
    const order = largest(logits, words.length).map(([i]) => i);
    const shown = order.slice(0, SHOWN);
    const others = order.slice(SHOWN);
    const top = Math.max(...before, ...after, ...counts.map((c) => c / (drawn.length || 1)));
    showPrefix();
    const had = document.activeElement?.closest?.(".mm-next") === list;
    list.replaceChildren(
      ...shown.map((token) => row(token, both, counts, top)),
      ...rest(others, both, counts, top),
    );
    // Whoever appended by keyboard goes on from the first word of the new list.
    if (had) list.querySelector("button")?.focus();
    one.disabled = hundred.disabled = drawn.length >= MOST_DRAWS;
    clear.disabled = !drawn.length;
    append.disabled = !drawn.length || longer(drawn.at(-1)) === undefined;
    const may = after.filter((p) => p > 0).length;
    const best = largest(after, 3).filter(([, p]) => p > 0);
    const named = best.map(([i, p]) => `“${words[i]}” ${p.toFixed(2)}`).join(", ");
    const ends = order.some((token) => longer(token) !== undefined) ? "" : " No longer text is stored.";
    const last = drawn.length
      ? ` Drawn: ${drawn.length}, the last one “${words[drawn.at(-1)]}”.`
      : "";
    view.say(`${may} of ${words.length} tokens may be drawn; the likeliest: ${named}.${last}${ends}`);
  };

  const start = choice(view, "prefix", { label: "Start", options: roots });
  const chosen = start.querySelector("select");
  // The list names only the starts: show the one that the present prefix began with.
  view.updates.push(() => {
    const now = key(here());
    const begun = (i) => `${now} `.startsWith(`${key(prefixes[i])} `);
    chosen.selectedIndex = roots.findIndex(([i]) => begun(i));
  });
  const reset = () => view.set({ draws: 0 });
  chosen.addEventListener("change", reset);
  const limit = Math.min(words.length, 20);
  const dials = controls(
    dial(view, "temperature", {
      label: "Temperature", min: 0, max: 3, step: 0.1,
      format: (t) => (t === 0 ? "0 (greedy)" : t.toFixed(1)),
    }),
    dial(view, "top_k", {
      label: "Top-k", min: 0, max: limit, step: 1, format: (k) => (k ? `${k}` : "all"),
    }),
    dial(view, "top_p", { label: "Top-p", min: 0.05, max: 1, step: 0.05, format: (p) => p.toFixed(2) }),
  );
  dials.classList.add("mm-dials");
  const key1 = make("span", { class: "mm-key" }, make("i", { class: "mm-on" }), "probability");
  const key2 = make("span", { class: "mm-key" }, make("i", { class: "mm-off" }), "cut off");
  const key3 = make("span", { class: "mm-key" }, make("i", { class: "mm-tally" }), "drawn");
  return view.start(
    ["prefix", "temperature", "top_k", "top_p", "draws"],
    presetButtons(view) ?? "",
    controls(start),
    line,
    dials,
    list,
    make("p", { class: "mm-legend" }, key1, key2, key3),
    buttons,
  );
}

export { drawTokens, nextProbabilities, randomNumbers };
export default { render };
