// Which places read a word of the caption: the picture lit by a word, over the steps of sampling.

function render({ model, el }) {
  const view = widget({ model, el }, "Word attention");
  const [scenes, steps, rows, columns] = view.get("shape");
  const shape = view.get("image_shape");
  const size = shape.reduce((a, b) => a * b);
  const all = bytes(view.get("data"));
  const captions = view.get("captions");
  const labels = view.get("labels");
  const [count, area] = [captions[0].length, rows * columns];
  const first = scenes * steps * size;
  let preview = null; // the word under the pointer or the focus

  const now = () => preview ?? view.get("word");
  const places = (step, word) => {
    const start = first + (view.get("scene") * steps + step) * area * count + word;
    return Float64Array.from({ length: area }, (_, i) => all[start + i * count] / 255);
  };
  const pixels = (step) => {
    const start = (view.get("scene") * steps + step) * size;
    return all.subarray(start, start + size);
  };
  const look = (word) => {
    if (word === preview) return;
    preview = word;
    view.redraw();
  };

  // The caption: one button a word.
  const words = Array.from({ length: count }, (_, word) => {
    const name = make("span");
    const node = make("button", { class: "mm-button", type: "button" }, name);
    node.addEventListener("pointerenter", () => look(word));
    node.addEventListener("pointerleave", () => look(null));
    node.addEventListener("focus", () => node.matches(":focus-visible") && look(word));
    node.addEventListener("blur", () => look(null));
    node.addEventListener("click", () => (view.set({ word }), view.redraw()));
    return { node, name };
  });
  const line = { class: "mm-caption-words", role: "group", "aria-label": "Words of the caption" };
  const sentenceNode = make("div", line, ...words.map(({ node }) => node));

  const plain = picture(shape);
  const lit = make("canvas", { class: "mm-pixels", role: "img" });
  const [left, right] = [make("figcaption"), make("figcaption")];
  const boards = make(
    "div",
    { class: "mm-reads" },
    make("figure", {}, left, plain.node),
    make("figure", {}, right, lit),
  );

  // Every word at every step, each a map as small as the grid.
  const maps = Array.from({ length: count * steps }, (_, i) => {
    const go = { word: Math.floor(i / steps), step: i % steps };
    const canvas = make("canvas", { class: "mm-pixels", width: columns, height: rows });
    canvas.addEventListener("click", () => view.set(go));
    return { ...go, canvas };
  });
  const names = words.map(() => make("span", { "aria-hidden": "true" }));
  const glance = make("div", { class: "mm-word-maps", role: "img", style: `--mm-steps:${steps}` });
  maps.forEach(({ word, step, canvas }) => {
    if (step === 0) glance.append(names[word]);
    glance.append(canvas);
  });
  const about = "Every word (down) at every step (across)";
  const scale = ", each map from its own least to its own largest weight";
  const title = make("p", { class: "mm-title" }, about, make("span", { class: "mm-plain" }, scale));

  view.draw = () => {
    const [word, step] = [now(), view.get("step")];
    const caption = captions[view.get("scene")];
    words.forEach(({ node, name }, i) => {
      name.textContent = names[i].textContent = caption[i];
      node.setAttribute("aria-pressed", i === view.get("word"));
      node.classList.toggle("mm-looked", i === word);
    });
    const values = places(step, word);
    plain.show(pixels(step), `What “${caption.join(" ")}” looks like at ${labels[step]}.`);
    veil(lit, pixels(step), shape, stretched(values), [rows, columns]);
    left.textContent = labels[step];
    right.textContent = `lit where “${caption[word]}” is read`;
    const said = sentence(caption[word], labels[step], values, columns);
    lit.setAttribute("aria-label", `The same picture, lit: ${said}`);
    maps.forEach((map) => {
      const range = places(map.step, map.word);
      shine(map.canvas, stretched(range), columns, view.color("accent"));
      map.canvas.classList.toggle("mm-on", map.word === word && map.step === step);
    });
    const text = `Small maps of where each of ${count} words is read at each of ${steps} steps`;
    glance.setAttribute("aria-label", `${text}; outlined: “${caption[word]}” at ${labels[step]}.`);
    view.say(said);
  };

  const options = captions.map((one, i) => [i, one.join(" ")]);
  const format = (step) => labels[step];
  const slide = slider(view, "step", { label: "Step of sampling", max: steps - 1, format });
  slide.classList.add("mm-wide");
  const hint = "Tap a word, hover over it or move to it with the Tab key; a tap, click or Enter keeps it.";
  return view.start(
    ["data", "scene", "step", "word"],
    presetButtons(view) ?? "",
    controls(choice(view, "scene", { label: "Caption", options }), slide),
    make("div", {}, sentenceNode, make("p", { class: "mm-hint" }, hint)),
    boards,
    make("div", {}, title, glance),
  );
}

// 0 … 1 from the least to the largest of some values; 1 everywhere where all are alike.
function stretched(values) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return values.map((v) => (high > low ? (v - low) / (high - low) : 1));
}

function sentence(word, label, values, columns) {
  const [[best, most]] = largest(values, 1);
  const [row, column] = [Math.floor(best / columns) + 1, (best % columns) + 1];
  const where = `row ${row}, column ${column} (weight ${most.toFixed(2)})`;
  return `“${word}” at ${label}: read most in ${where}, least with ${Math.min(...values).toFixed(2)}.`;
}

export { sentence, stretched };
export default { render };
