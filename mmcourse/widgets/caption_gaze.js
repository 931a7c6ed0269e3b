// A caption word by word: the picture lit where the network looked, and what it held to be likely.

function render({ model, el }) {
  const view = widget({ model, el }, "Caption gaze");
  const shape = view.get("image_shape");
  const [rows, columns] = view.get("grid");
  const longest = view.get("longest");
  const [written, gates] = [view.get("words"), view.get("gates")];
  const [guesses, chances] = [view.get("guesses"), view.get("chances")];
  const size = shape.reduce((a, b) => a * b);
  const area = rows * columns;
  const all = bytes(view.get("data"));
  const first = written.length * size;
  const last = first + written.length * longest * area;
  let preview = null; // the word under the pointer or the focus

  const at = () => Math.min(preview ?? view.get("word"), written[view.get("scene")].length - 1);
  const lights = (word) => {
    const start = first + (view.get("scene") * longest + word) * area;
    return Array.from(all.subarray(start, start + area), (v) => v / 255);
  };
  const top = (word) => {
    const start = last + 2 * (view.get("scene") * longest + word);
    return (all[start] + 256 * all[start + 1]) / 1000;
  };
  const pixels = () => all.subarray(view.get("scene") * size, (view.get("scene") + 1) * size);
  const look = (word) => {
    if (word === preview) return;
    preview = word;
    view.redraw();
  };
  const keep = (word) => {
    preview = null;
    view.set({ word });
    view.redraw();
  };

  // The caption: one button a word, over a small map of its look.
  const words = Array.from({ length: longest }, (_, word) => {
    const name = make("span");
    const canvas = make("canvas", { class: "mm-pixels", width: columns, height: rows });
    canvas.setAttribute("aria-hidden", "true");
    const node = make("button", { class: "mm-button", type: "button" }, name, canvas);
    node.addEventListener("pointerenter", () => look(word));
    node.addEventListener("pointerleave", () => look(null));
    node.addEventListener("focus", () => node.matches(":focus-visible") && look(word));
    node.addEventListener("blur", () => look(null));
    node.addEventListener("click", () => keep(word));
    return { node, name, canvas };
  });
  const line = { class: "mm-gaze-words", role: "group", "aria-label": "Words of the caption" };
  const sentenceNode = make("div", line, ...words.map(({ node }) => node));

  const plain = picture(shape);
  const lit = make("canvas", { class: "mm-pixels", role: "img" });
  const right = make("figcaption");
  const likely = Array.from({ length: guesses[0][0].length }, () => {
    const [name, share, fill] = [make("span"), make("span"), make("i")];
    const bar = make("span", { class: "mm-gaze-bar" }, fill);
    return { name, share, fill, node: make("li", {}, name, bar, share) };
  });
  const list = make("ul", { class: "mm-gaze-likely" }, ...likely.map(({ node }) => node));
  const boards = make(
    "div",
    { class: "mm-gaze" },
    make("figure", {}, make("figcaption", {}, "the picture"), plain.node),
    make("figure", {}, right, lit),
    make("div", {}, make("p", { class: "mm-title" }, "Held to be likely"), list),
  );

  view.draw = () => {
    const [scene, word] = [view.get("scene"), at()];
    const caption = written[scene];
    words.forEach(({ node, name, canvas }, i) => {
      node.hidden = i >= caption.length;
      if (node.hidden) return;
      name.textContent = caption[i];
      const on = i === Math.min(view.get("word"), caption.length - 1);
      node.setAttribute("aria-pressed", on);
      node.classList.toggle("mm-looked", i === word);
      shine(canvas, lights(i), columns, view.color("accent"));
    });
    const light = lights(word);
    plain.show(pixels(), `The picture told as “${caption.join(" ")}”.`);
    veil(lit, pixels(), shape, light, [rows, columns]);
    right.textContent = `lit where it looked for “${caption[word]}”`;
    likely.forEach(({ name, share, fill }, i) => {
      const chance = chances[scene][word][i];
      name.textContent = guesses[scene][word][i];
      share.textContent = percent(chance);
      fill.style.width = `${chance / 10}%`;
    });
    const now = { words: caption, word, light, columns, top: top(word), gate: gates[scene][word] };
    const said = sentence({ ...now, guesses: guesses[scene][word], chances: chances[scene][word] });
    lit.setAttribute("aria-label", `The same picture, lit. ${said}`);
    view.say(said);
  };

  const options = view.get("titles").map((title, i) => [i, title]);
  const max = () => written[view.get("scene")].length - 1;
  const also = (scene) => ({ word: Math.min(view.get("word"), written[scene].length - 1) });
  const format = () => `${at() + 1}: ${written[view.get("scene")][at()]}`;
  const slide = slider(view, "word", { label: "Word", max, format });
  slide.classList.add("mm-wide");
  const hint = "Tap a word, hover over it or move to it with the Tab key; a tap, click or Enter keeps it.";
  return view.start(
    ["data", "scene", "word"],
    presetButtons(view) ?? "",
    controls(choice(view, "scene", { label: "Scene", options, also }), slide),
    make("div", {}, sentenceNode, make("p", { class: "mm-hint" }, hint)),
    boards,
  );
}

// 974 thousandths → "97.4 %".
const percent = (chance) => `${(chance / 10).toFixed(1)} %`;

function sentence({ words, word, light, columns, top, gate, guesses, chances }) {
  const best = light.indexOf(Math.max(...light));
  const where = `row ${Math.floor(best / columns) + 1}, column ${(best % columns) + 1}`;
  const likely = guesses.map((name, i) => `“${name}” ${percent(chances[i])}`).join(", ");
  return (
    `Word ${word + 1} of ${words.length}, “${words[word]}”: looked most at ${where} ` +
    `(share ${top.toFixed(3)}), gate ${(gate / 100).toFixed(2)}. Likeliest: ${likely}.`
  );
}

export { percent, sentence };
export default { render };
