// Hide a word of a sentence and see what the model would put in its place.

function render({ model, el, experimental }) {
  const view = widget({ model, el }, "Masked words");
  let preview = null; // the word under the pointer or the focus
  const here = () => view.get("sentences")[view.get("sentence")];
  const can = (i) => here().guesses[i]?.length > 0;
  const now = () => (preview !== null && can(preview) ? preview : view.get("position"));

  const line = wordLine(view, {
    hover: (i) => ((preview = i), view.redraw()),
    pick: (i) => view.set({ position: i }),
    label: "Word to hide",
  });
  const title = make("p", { class: "mm-title" });
  const bars = make("ol", { class: "mm-guesses" });
  const own = ownWords(view, experimental);
  const hint = "Click a word, or move with the arrow keys and press Enter, to hide it.";

  view.draw = () => {
    const { tokens, guesses, truth } = here();
    const i = now();
    const [share, rank] = truth[i];
    const open = guesses.map((list) => list.length > 0);
    const chosen = (j) => j === view.get("position");
    line.show({ tokens, open, hides: (j) => j === i, pressed: chosen, stop: view.get("position") });
    title.textContent = "What could stand for [MASK]?";
    const rows = guesses[i].map(([word, p]) => guess(word, p, word === tokens[i]));
    if (rank > guesses[i].length) rows.push(guess(tokens[i], share, true, rank));
    bars.replaceChildren(...rows);
    const [best, p] = guesses[i][0];
    const where = place(rank, share);
    view.say(`“${tokens[i]}” is hidden. First guess: “${best}”, ${percent(p)}. The word itself ${where}.`);
  };

  // Another sentence may have no word to hide at this place: take the nearest.
  view.updates.push(() => {
    if (preview !== null && !can(preview)) preview = null;
    const i = view.get("position");
    if (!can(i)) view.set({ position: nearest(here().guesses, i) });
  });
  const names = view.get("sentences").map(({ name }, i) => [i, name]);
  const sentences = choice(view, "sentence", { label: "Sentence", options: names });
  const stop = view.start(
    ["sentences", "sentence", "position"],
    presetButtons(view) ?? "",
    controls(sentences),
    line.node,
    make("p", { class: "mm-hint" }, hint),
    make("div", {}, title, bars),
  );
  view.summary.after(own); // which speaks of the stored sentence
  return stop;
}

const percent = (p) => (p > 0 && p < 0.001 ? "< 0.1 %" : `${(100 * p).toFixed(p < 0.0995 ? 1 : 0)} %`);
const place = (rank, share) => (rank === 1 ? "is that guess" : `is guess number ${rank}, ${percent(share)}`);

// The place that can be hidden and is nearest to i, the earlier of two.
function nearest(guesses, i) {
  const places = guesses.map((list, j) => (list.length ? j : -1)).filter((j) => j >= 0);
  return places.reduce((best, j) => (Math.abs(j - i) < Math.abs(best - i) ? j : best));
}

// One bar. The word that stood there carries a tick and another colour; it may come far behind.
function guess(word, p, right, rank) {
  const name = [right ? make("span", { class: "mm-tick" }, "✓ ") : null, word];
  const note = right ? make("small", {}, rank ? `the word that stood here, guess ${rank}` : "the word that stood here") : "";
  return make(
    "li",
    { class: right ? "mm-right" : "" },
    make("span", { class: "mm-guessed" }, ...name),
    make("span", { class: "mm-share" }, make("i", { style: `width:${Math.max(100 * p, 0.5)}%` })),
    make("b", { "data-share": p }, percent(p)),
    note,
  );
}

// The words in a line that may wrap. One stop of the Tab key, then the arrow keys. Where shares are
// given, they are the attention of the token `query`.
function wordLine(view, { hover, pick, label }) {
  const node = make("div", { class: "mm-words", role: "toolbar", "aria-label": label });
  let buttons = [];
  let built = null;

  const press = (event) => {
    const list = buttons.filter((button) => button.tagName === "BUTTON");
    const i = list.indexOf(document.activeElement);
    const goal = { ArrowLeft: i - 1, ArrowRight: i + 1, Home: 0, End: list.length - 1 };
    if (i < 0 || !(event.key in goal)) return;
    event.preventDefault();
    list[clamp(goal[event.key], 0, list.length - 1)].focus();
  };
  node.addEventListener("keydown", press);
  node.addEventListener("pointerleave", () => hover(null));
  node.addEventListener("focusout", () => hover(null));

  const word = (token, i, open) => {
    const parts = [make("small", { class: "mm-attends" }), make("span", {}, token), make("small", {})];
    if (!open) return make("span", { class: "mm-fixed" }, ...parts);
    const act = {
      class: "mm-place",
      type: "button",
      onclick: () => pick(i),
      onpointerenter: () => hover(i),
      onfocus: (event) => event.target.matches(":focus-visible") && hover(i),
    };
    return make("button", act, ...parts);
  };

  function show({ tokens, open, hides, pressed, stop, shares, query }) {
    const key = JSON.stringify([tokens, open]);
    if (built !== key) {
      buttons = tokens.map((token, i) => word(token, i, open[i]));
      node.replaceChildren(...buttons);
      built = key;
    }
    buttons.forEach((button, i) => {
      const [weight, name, below] = button.children;
      const hidden = hides(i);
      weight.textContent = shares ? shares[i].toFixed(2) : "";
      if (shares) button.style.setProperty("--w", shares[i]);
      button.classList.toggle("mm-asks", Boolean(shares) && i === query);
      if (!open[i]) return;
      button.tabIndex = i === stop ? 0 : -1;
      button.setAttribute("aria-pressed", pressed(i));
      const said = [tokens[i], hidden && "hidden", shares && `attention ${shares[i].toFixed(2)}`];
      button.setAttribute("aria-label", said.filter(Boolean).join(", "));
      button.classList.toggle("mm-hidden", hidden);
      name.textContent = hidden ? "[MASK]" : tokens[i];
      below.textContent = hidden && tokens[i] !== "[MASK]" ? tokens[i] : "";
    });
  }
  return { node, show };
}

export { attended, guessed, nearest, percent, readText, wordPiece };
export default { render };
