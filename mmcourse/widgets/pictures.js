// What the widgets draw with: pixels, films of small pictures, curves. This text stands
// after kit.js and before each widget's own.

// ---------- pictures ----------

// Paint (channels, height, width) bytes with the upper left corner at (x, y).
function paint(context, values, [channels, height, width], x = 0, y = 0) {
  const area = height * width;
  const image = context.createImageData(width, height);
  for (let i = 0; i < area; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = values[(channels === 1 ? 0 : c * area) + i];
    image.data[4 * i + 3] = 255;
  }
  context.putImageData(image, x, y);
}

// One picture on its own canvas: {node, show(values, description)}.
function picture(shape, hidden = false) {
  const traits = { class: "mm-pixels", width: shape[2], height: shape[1] };
  const role = hidden ? { "aria-hidden": "true" } : { role: "img" };
  const node = make("canvas", { ...traits, ...role });
  const show = (values, text) => {
    paint(node.getContext("2d"), values, shape);
    if (text) node.setAttribute("aria-label", text);
  };
  return { node, show };
}

// Small pictures in a row that stand for positions of a slider: `pick(position)` on a click.
function film(count, shape, pick) {
  const frames = Array.from({ length: count }, () => picture(shape, true));
  const at = (i, last) => Math.round((i * last) / Math.max(count - 1, 1));
  const node = make("div", { class: "mm-film", role: "img" }, ...frames.map((frame) => frame.node));
  let top = 0;
  frames.forEach((frame, i) => frame.node.addEventListener("click", () => pick(at(i, top))));
  // `values(position)` gives the pixels; the frame nearest to `now` is outlined.
  const show = (last, now, values, text) => {
    top = last;
    const near = Math.round((now / Math.max(last, 1)) * (count - 1));
    frames.forEach((frame, i) => {
      frame.show(values(at(i, last)));
      frame.node.classList.toggle("mm-on", i === near);
    });
    node.setAttribute("aria-label", text);
  };
  return { node, show };
}

// ---------- curves over the steps, with a marker ----------

const swatch = (style) =>
  make(
    "svg:svg",
    { class: "mm-swatch", viewBox: "0 0 26 10", "aria-hidden": "true" },
    make("svg:line", { class: `mm-line mm-style${style}`, x1: 1, x2: 25, y1: 5, y2: 5 }),
  );

const legend = (names) =>
  make("ul", { class: "mm-legend" }, ...names.map((n, i) => make("li", {}, swatch(i), n)));

// show({series: [{values, style}], at, low, high, ticks, x, y, text}); a pointer picks a step.
// `marks`: a word below every step, in place of the first and the last number.
function chart(pick) {
  const node = make("svg:svg", { class: "mm-chart", role: "img" });
  const [left, right, above, below] = [46, 12, 24, 28];
  let last = 1;
  const follow = (event) => {
    if (event.type === "pointermove" && !event.buttons) return;
    const box = node.getBoundingClientRect();
    const share = (event.clientX - box.left - left) / (box.width - left - right);
    pick(Math.round(clamp(share, 0, 1) * last));
  };
  node.addEventListener("pointerdown", follow);
  node.addEventListener("pointermove", follow);
  const text = (x, y, words, anchor = "middle") =>
    make("svg:text", { x, y, "text-anchor": anchor }, words);
  const show = ({ series, at, low, high, ticks, x, y, text: words, height = 220, marks }) => {
    const width = Math.max(node.parentElement.clientWidth, 200);
    last = Math.max(...series.map((one) => one.values.length)) - 1;
    const px = (i) => left + (i / Math.max(last, 1)) * (width - left - right);
    const py = (v) => above + ((high - clamp(v, low, high)) / (high - low)) * (height - above - below);
    const stride = Math.ceil((last + 1) / 240);
    const path = ({ values, style }) => {
      const points = [];
      for (let i = 0; i <= last; i = i < last ? Math.min(i + stride, last) : i + 1)
        points.push(`${px(i).toFixed(1)},${py(values[i]).toFixed(1)}`);
      return make("svg:polyline", { class: `mm-line mm-style${style}`, points: points.join(" ") });
    };
    const grid = ticks.flatMap((v) => [
      make("svg:line", { class: "mm-grid", x1: left, x2: width - right, y1: py(v), y2: py(v) }),
      text(left - 8, py(v) + 4, String(v).replace("-", "−"), "end"),
    ]);
    const marker = { class: "mm-marker", x1: px(at), x2: px(at), y1: above, y2: height - below };
    const dot = ({ values, style }) =>
      make("svg:circle", { class: `mm-dot mm-style${style}`, cx: px(at), cy: py(values[at]), r: 5 });
    const ends = marks
      ? marks.map((mark, i) => text(px(i), height - 10, mark))
      : [text(px(0), height - 10, "0"), text(px(last), height - 10, String(last), "end")];
    const names = [text(left - 34, 13, y, "start"), text((left + width) / 2, height - 10, x)];
    node.setAttribute("viewBox", `0 0 ${width} ${height}`);
    node.setAttribute("aria-label", words);
    const line = make("svg:line", marker);
    node.replaceChildren(...grid, ...names, ...ends, line, ...series.map(path), ...series.map(dot));
  };
  return { node, show };
}
