// A generator's samples while it is trained: which modes they reach, and what its judge thinks.

const SIDE = 400; // of the plane, in the units of its drawing

function render({ model, el }) {
  const view = widget({ model, el }, "Mode scrubber");
  const [tracks, frames, points, modes, rows, columns] = view.get("shape");
  const [names, labels, centres] = [view.get("names"), view.get("labels"), view.get("centres")];
  const [radius, least, reach] = [view.get("radius"), view.get("at_least"), view.get("reach")];
  const { samples, field } = unpack(view.get("data"), view.get("shape"));
  const last = frames - 1;
  const now = () => clamp(view.get("frame"), 0, last);
  const go = (frame) => view.set({ frame });
  const drawn = (track, frame) => {
    const start = 2 * points * (track * frames + frame);
    return samples.subarray(start, start + 2 * points);
  };
  const onto = (share) => Number((share * SIDE).toFixed(1));
  const place = ([x, y]) => [onto((x + reach) / (2 * reach)), onto((reach - y) / (2 * reach))];

  const found = Array.from({ length: tracks }, (_, track) =>
    Array.from({ length: frames }, (_, frame) => enough(count(drawn(track, frame), centres, radius), least)),
  );
  const heat = make("canvas", { class: "mm-judged", width: columns, height: rows, "aria-hidden": "true" });
  heat.hidden = !rows;
  const plane = make("svg:svg", { class: "mm-ring", role: "img", viewBox: `0 0 ${SIDE} ${SIDE}` });
  const stack = make("div", { class: "mm-stack" }, heat, plane);
  const graph = chart(go);
  const bars = make("svg:svg", { class: "mm-counts", role: "img" });
  const parts = [["mm-good", "good sample", 0], ["mm-stray", "stray sample", 1], ["mm-mode", "a mode of the data", 2]];
  const items = parts.map(([kind, words, shape]) => make("li", {}, sample(kind, shape), words));
  if (rows) items.push(make("li", {}, make("span", { class: "mm-shade", "aria-hidden": "true" }), "the stronger the shade, the more real to the discriminator"));
  const key = make("ul", { class: "mm-legend" }, ...items);
  const button = player(view, { now, go, last, pace: 6000 / frames });

  function shade(track, frame) {
    const start = rows * columns * (track * frames + frame);
    const [r, g, b] = view.color("third").match(/[\d.]+/g).map(Number);
    const scale = view.color("third").startsWith("color(") ? 255 : 1;
    const context = heat.getContext("2d");
    const image = context.createImageData(columns, rows);
    for (let i = 0; i < rows * columns; i++)
      image.data.set([r * scale, g * scale, b * scale, 0.62 * field[start + i]], 4 * i);
    context.putImageData(image, 0, 0);
  }

  view.draw = () => {
    const [track, frame] = [view.get("track"), now()];
    const dots = drawn(track, frame);
    const [good, stray] = [[], []];
    for (let i = 0; i < points; i++) {
      const dot = [dots[2 * i], dots[2 * i + 1]];
      if (Math.max(Math.abs(dot[0]), Math.abs(dot[1])) > reach) continue;
      (home(dot[0], dot[1], centres, radius) < 0 ? stray : good).push(place(dot));
    }
    const rings = centres.map((centre) => {
      const [cx, cy] = place(centre);
      return make("svg:circle", { class: "mm-mode", cx, cy, r: onto(radius / (2 * reach)) });
    });
    const marks = (kind, list, shape) =>
      make("svg:path", { class: kind, d: list.map(([x, y]) => mark(shape, x, y, 3)).join("") });
    plane.replaceChildren(...rings, marks("mm-stray", stray, 1), marks("mm-good", good, 0));
    const counts = count(dots, centres, radius);
    const seen = good.length + stray.length;
    plane.setAttribute(
      "aria-label",
      `${points} samples, ${good.length} inside the circles of ${modes} modes, ${stray.length} outside, ${points - seen} out of the picture`,
    );
    if (rows) shade(track, frame);
    tally(bars, counts, points);
    graph.show({
      series: found.map((values, style) => ({ values, style })),
      at: frame,
      low: 0,
      high: modes,
      ticks: [0, modes / 2, modes],
      x: labels[frame],
      y: "modes found",
      text: `modes found at ${labels[frame]}: ${names.map((name, i) => `${name} ${found[i][frame]}`).join(", ")}`,
      height: 170,
      marks: labels.map(() => ""),
    });
    view.say(sentence(names[track], labels[frame], counts, points, least));
  };

  const slide = slider(view, "frame", { label: "Moment of the training", max: last, format: (i) => labels[i] });
  slide.classList.add("mm-wide");
  return view.start(
    ["track", "frame"],
    presetButtons(view) ?? "",
    controls(
      choice(view, "track", { label: "Training", options: names.map((name, i) => [i, name]) }),
      button,
      slide,
    ),
    make(
      "div",
      { class: "mm-gan" },
      make("div", {}, stack, key),
      make("div", {}, graph.node, tracks > 1 ? legend(names) : "", bars),
    ),
  );
}

// ---------- numbers (tests run them under node, against Python) ----------

function unpack(view, [tracks, frames, points]) {
  const size = 2 * tracks * frames * points;
  return { samples: halves(view, 0, size), field: bytes(view).subarray(2 * size) };
}

// The nearest mode of a good sample; −1 for a stray one.
function home(x, y, centres, radius) {
  let [best, least] = [-1, Infinity];
  centres.forEach(([a, b], i) => {
    const gap = Math.sqrt((a - x) * (a - x) + (b - y) * (b - y));
    if (gap < least) [best, least] = [i, gap];
  });
  return least <= radius ? best : -1;
}

// Good samples of each mode.
function count(dots, centres, radius) {
  const counts = centres.map(() => 0);
  for (let i = 0; i < dots.length / 2; i++) {
    const mode = home(dots[2 * i], dots[2 * i + 1], centres, radius);
    if (mode >= 0) counts[mode] += 1;
  }
  return counts;
}

const enough = (counts, least) => counts.filter((n) => n >= least).length;

function sentence(name, label, counts, points, least) {
  const good = counts.reduce((a, b) => a + b, 0);
  return (
    `${name}, ${label}: ${enough(counts, least)} of ${counts.length} modes found; ${good} of ${points} ` +
    `samples are good. The fullest mode has ${Math.max(...counts)} of them.`
  );
}

// ---------- parts ----------

// A disc, a cross or a ring as a path.
function mark(kind, x, y, r) {
  if (kind === 1) return `M${x - r},${y - r}l${2 * r},${2 * r}m0,${-2 * r}l${-2 * r},${2 * r}`;
  return `M${x - r},${y}a${r},${r} 0 1,0 ${2 * r},0a${r},${r} 0 1,0 ${-2 * r},0z`;
}

const sample = (kind, shape) =>
  make(
    "svg:svg",
    { class: "mm-swatch", viewBox: "0 0 26 10", "aria-hidden": "true" },
    make("svg:path", { class: kind, d: mark(shape, 13, 5, 4) }),
  );

// A bar for each mode; a fair share is a dashed line.
function tally(node, counts, points) {
  const [width, height, foot] = [300, 110, 34];
  const top = Math.max(...counts, (2 * points) / counts.length);
  const step = width / counts.length;
  const y = (n) => height - foot - (n / top) * (height - foot - 14);
  const text = (x, at, words) => make("svg:text", { x, y: at, "text-anchor": "middle" }, words);
  const bars = counts.flatMap((n, i) => [
    make("svg:rect", { class: "mm-modebar", x: (i + 0.15) * step, y: y(n), width: 0.7 * step, height: height - foot - y(n) }),
    text((i + 0.5) * step, y(n) - 3, String(n)),
    text((i + 0.5) * step, height - foot + 13, String(i + 1)),
  ]);
  const fair = y(points / counts.length);
  node.setAttribute("viewBox", `0 0 ${width} ${height}`);
  node.setAttribute("aria-label", `good samples of each mode: ${counts.join(", ")}`);
  node.replaceChildren(
    ...bars,
    make("svg:line", { class: "mm-fair", x1: 0, x2: width, y1: fair, y2: fair }),
    text(width / 2, height - 4, "good samples of each mode; dashed: a fair share"),
  );
}

export { count, enough, home, sentence, unpack };
export default { render };
