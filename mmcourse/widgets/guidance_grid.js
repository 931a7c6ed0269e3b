// Finished pictures: one row a noise, one column a scale of guidance; one picture enlarged.

function render({ model, el }) {
  const view = widget({ model, el }, "Guidance grid");
  const [, seeds, count, ...shape] = view.get("shape");
  const size = shape.reduce((a, b) => a * b);
  const pixels = bytes(view.get("data"));
  const scales = view.get("scales");
  const labels = view.get("labels");
  const curves = view.get("curves");
  const at = (seed, scale) => {
    const start = ((view.get("label") * seeds + seed) * count + scale) * size;
    return pixels.subarray(start, start + size);
  };

  const heads = scales.map((scale) => make("span", {}, plain(scale)));
  const head = make("div", { class: "mm-scales", "aria-hidden": "true" }, ...heads);
  const rows = Array.from({ length: seeds }, (_, seed) => {
    const row = film(count, shape, (scale) => view.set({ seed, scale }));
    return { ...row, name: make("span", { "aria-hidden": "true" }, String(seed + 1)) };
  });
  const grid = make(
    "div",
    { class: "mm-guided" },
    make("span", { class: "mm-corner", "aria-hidden": "true" }, "scale"),
    head,
    ...rows.flatMap((row) => [row.name, row.node]),
  );
  const large = picture(shape);
  const caption = make("figcaption");
  const figure = make("figure", {}, large.node, caption);

  const graph = chart((scale) => view.set({ scale }));
  const title = curves.map((curve) => curve.name).join(", ");
  const plot = make("div", { hidden: !curves.length }, graph.node);
  if (curves.length) plot.append(legend(curves.map((curve) => curve.name)));

  view.draw = () => {
    const [seed, scale] = [view.get("seed"), view.get("scale")];
    const name = labels[view.get("label")];
    rows.forEach((row, i) => {
      const text = `${name} from noise ${i + 1}, scale ${plain(scales[0])} to ${plain(scales[count - 1])}`;
      row.show(count - 1, scale, (j) => at(i, j), text);
      row.name.classList.toggle("mm-now", i === seed);
    });
    heads.forEach((one, i) => one.classList.toggle("mm-now", i === scale));
    const chosen = `${name}, noise ${seed + 1}, scale ${plain(scales[scale])}`;
    large.show(at(seed, scale), `${chosen}, enlarged`);
    caption.textContent = chosen;
    if (curves.length) {
      const series = curves.map((curve, style) => ({ values: curve.values, style }));
      const axes = { low: 0, high: 1, ticks: [0, 0.5, 1], x: "", y: "share of the pictures, by scale" };
      const text = `${title} over the scales ${scales.map(plain).join(", ")}; marked: scale ${plain(scales[scale])}`;
      graph.show({ series, at: scale, ...axes, marks: scales.map(plain), text, height: 190 });
    }
    view.say(sentence(name, seed, scales[scale], curves, scale));
  };

  const format = (scale) => plain(scales[scale]);
  const slide = slider(view, "scale", { label: "Scale", max: count - 1, format });
  slide.classList.add("mm-wide");
  const noises = Array.from({ length: seeds }, (_, i) => [i, `${i + 1}`]);
  return view.start(
    ["label", "seed", "scale", "data"],
    presetButtons(view) ?? "",
    controls(
      choice(view, "label", { label: "Class", options: labels.map((name, i) => [i, name]) }),
      choice(view, "seed", { label: "Noise", options: noises }),
      slide,
    ),
    make("div", { class: "mm-split" }, grid, figure),
    plot,
  );
}

// 3 → "3", 0.5 → "0.5", −1 → "−1".
const plain = (value) => String(Number(value.toFixed(4))).replace("-", "−");
const percent = (share) => `${tenth(100 * share)} %`;

function sentence(name, seed, scale, curves, i) {
  const said = curves.map(({ name, values, real }) => {
    const beside = real === null ? "" : ` (real pictures ${percent(real)})`;
    return `${name} ${percent(values[i])}${beside}`;
  });
  const first = `${name} from noise ${seed + 1} at scale ${plain(scale)} (the paper's w = ${plain(scale - 1)}).`;
  return said.length ? `${first} All pictures of this scale: ${said.join(", ")}.` : first;
}

export { percent, plain, sentence };
export default { render };
