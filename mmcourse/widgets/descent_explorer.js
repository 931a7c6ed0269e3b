// A fitted line as its model grows, and where it stands on the curve of test errors.

const WIDE = 420; // of the picture, in the units of its drawing
const HIGH = 300;
const TINY = 1e-4; // errors below are drawn at this height

function render({ model, el }) {
  const view = widget({ model, el }, "Descent explorer");
  const [methods, count, places] = view.get("shape");
  const lines = halves(view.get("data"));
  const [grid, truth, points] = [view.get("grid"), view.get("truth"), view.get("points")];
  const [sizes, names, reach] = [view.get("sizes"), view.get("methods"), view.get("reach")];
  const [train, test] = [view.get("train_error"), view.get("test_error")];
  const last = count - 1;
  const now = () => clamp(view.get("size"), 0, last);
  const go = (size) => view.set({ size });
  const onto = frame(grid, reach);
  const strand = (values) =>
    Array.from(values, (y, i) => (i ? "L" : "M") + onto(grid[i], y).join(",")).join("");

  const plane = make("svg:svg", { class: "mm-fit", role: "img", viewBox: `0 0 ${WIDE} ${HIGH}` });
  const parts = [["mm-fitted", "the fit"], ["mm-truth", "the truth"], ["mm-nail", "points it was fitted to"]];
  const key = make("ul", { class: "mm-legend" }, ...parts.map(([kind, words]) => make("li", {}, sample(kind), words)));
  const graph = chart(go);
  const logs = test.map((errors) => errors.map(height));
  const low = Math.floor(Math.min(...logs.flat()));
  const high = Math.max(Math.ceil(Math.max(...logs.flat())), low + 1);
  const ticks = Array.from({ length: high - low + 1 }, (_, i) => low + i);
  const ends = sizes.map((size, i) => (i % last ? "" : String(size)));
  const button = player(view, { now, go, last, pace: 350 });

  view.draw = () => {
    const [method, size] = [view.get("method"), now()];
    const start = places * (method * count + size);
    const line = lines.subarray(start, start + places);
    const [, zero] = onto(0, 0);
    const nails = points.map(([x, y]) => {
      const [cx, cy] = onto(x, y);
      return make("svg:circle", { class: "mm-nail", cx, cy, r: 4.5 });
    });
    plane.replaceChildren(
      make("svg:line", { class: "mm-grid", x1: 0, x2: WIDE, y1: zero, y2: zero }),
      make("svg:text", { class: "mm-fitname", x: WIDE / 2, y: 20, "text-anchor": "middle" }, `P = ${sizes[size]}, ${names[method]}`),
      make("svg:path", { class: "mm-truth", d: strand(truth) }),
      make("svg:path", { class: "mm-fitted", d: strand(line) }),
      ...nails,
    );
    const [down, up] = [Math.min(...line), Math.max(...line)];
    plane.setAttribute(
      "aria-label",
      `${points.length} points and a fitted line with P = ${sizes[size]}, ${names[method]}: it lies between ${signed(down)} and ${signed(up)}; the picture shows ${signed(-reach)} to ${signed(reach)}`,
    );
    graph.show({
      series: logs.map((values, style) => ({ values, style })),
      at: size,
      low,
      high,
      ticks,
      x: `P = ${sizes[size]}`,
      y: "test error, power of ten",
      text: `test errors at P = ${sizes[size]}: ${names.map((name, i) => `${name} ${brief(test[i][size])}`).join(", ")}`,
      height: 230,
      marks: ends,
    });
    view.say(sentence(sizes[size], points.length, names[method], train[method][size], test[method], size));
  };

  const slide = slider(view, "size", { label: "Features P", max: last, format: (i) => `P = ${sizes[i]}` });
  slide.classList.add("mm-wide");
  return view.start(
    ["method", "size"],
    presetButtons(view) ?? "",
    controls(
      choice(view, "method", { label: "Fitted with", options: names.map((name, i) => [i, name]) }),
      button,
      slide,
    ),
    make(
      "div",
      { class: "mm-descent" },
      make("div", {}, plane, key),
      make("div", {}, graph.node, methods > 1 ? legend(names) : ""),
    ),
  );
}

// ---------- numbers (tests run them under node, against Python) ----------

// 0.1234 → "0.123", 43.2 → "43"; halves go up, as in Python's `brief`.
function brief(value) {
  if (value >= 10) return String(Math.floor(value + 0.5));
  return (Math.floor(1000 * value + 0.5) / 1000).toFixed(3);
}

const height = (error) => Math.log10(Math.max(error, TINY));

// Places and heights to the picture's units; what is far outside stays just outside.
function frame(grid, reach) {
  const [from, to] = [grid[0], grid[grid.length - 1]];
  const margin = 8;
  return (x, y) => [
    Number((margin + ((x - from) / (to - from)) * (WIDE - 2 * margin)).toFixed(1)),
    Number((((reach - clamp(y, -3 * reach, 3 * reach)) / (2 * reach)) * HIGH).toFixed(1)),
  ];
}

function sentence(size, points, method, trained, tests, at) {
  const better = tests.filter((error) => error < tests[at]).length;
  return (
    `P = ${size} for ${points} points, ${method}: training error ${brief(trained)}, ` +
    `test error ${brief(tests[at])}. Sizes with a smaller test error: ${better} of ${tests.length}.`
  );
}

// ---------- parts ----------

const signed = (value) => tenth(value).replace("-", "−");

function sample(kind) {
  const swatch = { class: "mm-swatch", viewBox: "0 0 26 10", "aria-hidden": "true" };
  const part =
    kind === "mm-nail"
      ? make("svg:circle", { class: kind, cx: 13, cy: 5, r: 4 })
      : make("svg:path", { class: kind, d: "M0,5L26,5" });
  return make("svg:svg", swatch, part);
}

export { brief, frame, height, sentence };
export default { render };
