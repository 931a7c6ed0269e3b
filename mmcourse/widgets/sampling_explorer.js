// The next token's probabilities under temperature, top-k and top-p, and draws from them.

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

function render({ model, el, experimental }) {
  const view = widget({ model, el }, "Sampling explorer");
  const invite = "Type a beginning and press Enter, or let it write.";
  const desk = view.get("model") ? modelDesk(view, experimental, { invite }) : null;
  const texts = knownTexts(view, desk);
  const { words, prefixes, places, here, known, longer } = texts;
  const own = desk && ownText(view, desk, texts);
  // The desk says what goes wrong where the model is asked.
  const go = (tokens) => tokens && texts.go(tokens).catch(() => {});
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
  let [drawn, likeliest] = [[], 0];
  const one = press("Draw", more(1));
  const hundred = press("Draw 100", more(100));
  const clear = press("Clear", () => view.set({ draws: 0 }));
  const append = press("Append the last draw", () => go(longer(drawn.at(-1))));
  const best = press("Append the likeliest", () => go(longer(likeliest)));
  const buttons = make("div", { class: "mm-presets" }, one, hundred, clear, append, best);

  // The words so far: each leads back to where it was the last one.
  function showPrefix() {
    const tokens = here();
    line.replaceChildren(
      ...tokens.map((token, i) => {
        const before = tokens.slice(0, i + 1);
        if (!known(before) || i === tokens.length - 1)
          return make("span", { class: "mm-said" }, words[token]);
        const back = { type: "button", class: "mm-said", onclick: () => go(before) };
        return make("button", { ...back, "aria-label": `Back to “${words[token]}”` }, words[token]);
      }),
      make("span", { class: "mm-cursor", "aria-hidden": "true" }),
    );
  }

  function row(token, { before, after }, counts, top) {
    const cut = after[token] === 0;
    const share = cut ? before[token] : after[token];
    const width = (value) => `width:${Math.min((100 * value) / top, 100)}%`;
    const next = longer(token);
    const name =
      next === undefined
        ? make("span", { class: "mm-word" }, words[token])
        : make("button", { type: "button", class: "mm-word", onclick: () => go(next) }, words[token]);
    if (next !== undefined) name.setAttribute("aria-label", `Append “${words[token]}”`);
    const bars = [make("i", { class: cut ? "mm-off" : "mm-on", style: width(share) })];
    if (counts[token]) {
      bars.push(make("i", { class: "mm-tally", style: width(counts[token] / drawn.length) }));
    }
    const said = cut ? "cut" : share.toFixed(share < 0.0995 ? 3 : 2);
    const count = drawn.length ? make("small", {}, `${counts[token]}×`) : null;
    const track = make("span", { class: "mm-track", "aria-hidden": "true" }, ...bars);
    return make("li", { "data-p": share }, name, track, make("b", {}, said), count);
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
    const logits = texts.logits();
    const [topK, topP] = [view.get("top_k"), view.get("top_p")];
    const both = nextProbabilities(logits, view.get("temperature"), topK, topP);
    const { before, after } = both;
    drawn = drawTokens(after, view.get("draws"), texts.seed());
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
    likeliest = largest(after, 1)[0][0];
    best.disabled = longer(likeliest) === undefined;
    const may = after.filter((p) => p > 0).length;
    const first = largest(after, 3).filter(([, p]) => p > 0);
    const named = first.map(([i, p]) => `“${words[i]}” ${p.toFixed(2)}`).join(", ");
    const ends = order.some((token) => longer(token) !== undefined) ? "" : ` No longer text is ${desk ? "at hand" : "stored"}.`;
    const last = drawn.length
      ? ` Drawn: ${drawn.length}, the last one “${words[drawn.at(-1)]}”.`
      : "";
    view.say(`${own?.told() ?? ""}${may} of ${words.length} tokens may be drawn; the likeliest: ${named}.${last}${ends}`);
  };

  const starts = () => (view.get("prefix") < 0 ? [...roots, [-1, "your own beginning"]] : roots);
  const start = choice(view, "prefix", { label: "Start", options: starts });
  const chosen = start.querySelector("select");
  // The list names only the starts: show the one that the present prefix began with.
  view.updates.push(() => {
    if (view.get("prefix") < 0) return;
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
    ["prefix", "own", "temperature", "top_k", "top_p", "draws", "seed"],
    presetButtons(view) ?? "",
    controls(start),
    own?.node ?? "",
    line,
    dials,
    list,
    make("p", { class: "mm-legend" }, key1, key2, key3),
    buttons,
  );
}

export { drawTokens, nextProbabilities, randomNumbers, readText };
export default { render };
