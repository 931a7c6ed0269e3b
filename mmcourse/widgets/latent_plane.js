// A plane of latent vectors: codes on it, the decoder's pictures all over it, one enlarged.

const SIDE = 260; // of the plane's own coordinates
const MARGIN = 12;

function render({ model, el }) {
  const view = widget({ model, el }, "Latent plane");
  const [, rows, columns, ...shape] = view.get("shape");
  const size = shape.reduce((a, b) => a * b);
  const pixels = bytes(view.get("data"));
  const [names, labels, extents] = [view.get("names"), view.get("labels"), view.get("extents")];
  const points = halves(view.get("codes"));
  const tile = (network, row, column) => {
    const start = ((network * rows + row) * columns + column) * size;
    return pixels.subarray(start, start + size);
  };
  const own = (network) => points.subarray(2 * network * labels.length, 2 * (network + 1) * labels.length);

  // Rows count upwards, the screen's go down.
  const go = (event, node, margin) => {
    const box = node.getBoundingClientRect();
    const edge = (margin * box.width) / SIDE;
    const at = (where, from, length, count) =>
      margin
        ? Math.round(clamp((where - from - edge) / (length - 2 * edge), 0, 1) * (count - 1))
        : clamp(Math.floor(((where - from) / length) * count), 0, count - 1);
    const column = at(event.clientX, box.left, box.width, columns);
    view.set({ column, row: rows - 1 - at(event.clientY, box.top, box.height, rows) });
  };
  const follow = (node, margin) => {
    node.addEventListener("pointerdown", (event) => go(event, node, margin));
    node.addEventListener("pointermove", (event) => event.buttons && go(event, node, margin));
    return node;
  };

  const frame = { class: "mm-plane", viewBox: `0 0 ${SIDE} ${SIDE}`, role: "img" };
  const plane = follow(make("svg:svg", frame), MARGIN);
  const look = { class: "mm-pixels", width: columns * shape[2], height: rows * shape[1], role: "img" };
  const mosaic = make("canvas", look);
  const mark = make("span", { class: "mm-here", "aria-hidden": "true" });
  const tiles = follow(make("div", { class: "mm-zmap" }, mosaic, mark), 0);
  const large = picture(shape);
  const caption = make("figcaption");
  let painted = -1;

  view.draw = () => {
    const [network, column, row] = [view.get("network"), view.get("column"), view.get("row")];
    const extent = extents[network];
    const [x, y] = place(extent, column, row, columns, rows);
    const [near] = nearest(own(network), x, y);
    drawPlane(plane, extent, own(network), labels, [x, y], near);
    plane.setAttribute(
      "aria-label",
      `${labels.length} codes of ${names[network]} on the plane; marked: z = (${hundredth(x)}, ${hundredth(y)})`,
    );
    if (painted !== network) {
      const context = mosaic.getContext("2d");
      for (let i = 0; i < rows; i++)
        for (let j = 0; j < columns; j++)
          paint(context, tile(network, i, j), shape, j * shape[2], (rows - 1 - i) * shape[1]);
      painted = network;
    }
    mosaic.setAttribute("aria-label", `what ${names[network]} decodes at ${columns} by ${rows} places`);
    const share = (index, count) => `${(100 * index) / count}%`;
    Object.assign(mark.style, { left: share(column, columns), top: share(rows - 1 - row, rows) });
    Object.assign(mark.style, { width: share(1, columns), height: share(1, rows) });
    const here = `z = (${hundredth(x)}, ${hundredth(y)})`;
    large.show(tile(network, row, column), `the picture at ${here}, enlarged`);
    caption.textContent = here;
    view.say(sentence(names[network], x, y, own(network), labels));
  };

  const at = (axis) => (index) => {
    const [left, right, bottom, top] = extents[view.get("network")];
    const [low, high, count] = axis ? [bottom, top, rows] : [left, right, columns];
    return hundredth(between(low, high, index, count));
  };
  const across = slider(view, "column", { label: "z₁", max: columns - 1, format: at(0) });
  const up = slider(view, "row", { label: "z₂", max: rows - 1, format: at(1) });
  [across, up].forEach((node) => node.classList.add("mm-wide"));
  const title = (words, node) => make("figure", {}, make("p", { class: "mm-title" }, words), node);
  return view.start(
    ["network", "column", "row"],
    presetButtons(view) ?? "",
    controls(
      choice(view, "network", { label: "Network", options: names.map((name, i) => [i, name]) }),
      across,
      up,
    ),
    make(
      "div",
      { class: "mm-latent" },
      title("Where pictures go", plane),
      title("What is painted there", tiles),
      make("figure", { class: "mm-decoded" }, large.node, caption),
    ),
  );
}

const between = (low, high, index, count) => low + (high - low) * (index / (count - 1));
const place = ([left, right, bottom, top], column, row, columns, rows) => [
  between(left, right, column, columns),
  between(bottom, top, row, rows),
];

// The code nearest to (x, y): [its index, its distance].
function nearest(codes, x, y) {
  let found = [0, Infinity];
  for (let i = 0; i < codes.length / 2; i++) {
    const [dx, dy] = [codes[2 * i] - x, codes[2 * i + 1] - y];
    const gap = Math.sqrt(dx * dx + dy * dy);
    if (gap < found[1]) found = [i, gap];
  }
  return found;
}

// Codes as their labels, the prior's circles, and a square where we are.
function drawPlane(node, [left, right, bottom, top], codes, labels, [x, y], near) {
  const scale = SIDE - 2 * MARGIN;
  const px = (v) => MARGIN + ((v - left) / (right - left)) * scale;
  const py = (v) => MARGIN + ((top - v) / (top - bottom)) * scale;
  const inside = (a, b) => a >= left && a <= right && b >= bottom && b <= top;
  const circle = (radius) =>
    make("svg:ellipse", {
      class: "mm-prior",
      cx: px(0),
      cy: py(0),
      rx: (radius * scale) / (right - left),
      ry: (radius * scale) / (top - bottom),
    });
  const glyphs = labels.flatMap((label, i) => {
    const [a, b] = [codes[2 * i], codes[2 * i + 1]];
    if (!inside(a, b)) return [];
    const kind = `mm-zcode mm-hue${[...label].reduce((sum, c) => sum + c.charCodeAt(0), 0) % 4}`;
    const style = i === near ? `${kind} mm-znear` : kind;
    return [make("svg:text", { class: style, x: px(a), y: py(b) + 3.5 }, label)];
  });
  const here = { class: "mm-square", x: px(x) - 7, y: py(y) - 7, width: 14, height: 14 };
  const edge = { class: "mm-edge", x: 0.5, y: 0.5, width: SIDE - 1, height: SIDE - 1 };
  const all = [make("svg:rect", edge), circle(1), circle(2), ...glyphs, make("svg:rect", here)];
  node.replaceChildren(...all);
}

// −1.499 → "−1.50"; halves go up, as in Python's `_hundredth`.
const hundredth = (value) => (Math.floor(100 * value + 0.5) / 100).toFixed(2).replace("-", "−");

function sentence(name, x, y, codes, labels) {
  const [near, gap] = nearest(codes, x, y);
  const out = hundredth(Math.sqrt(x * x + y * y));
  return (
    `${name}: the decoder's picture at z = (${hundredth(x)}, ${hundredth(y)}), ${out} from the middle ` +
    `of the prior. The nearest of ${labels.length} codes is a ${labels[near]}, ${hundredth(gap)} away.`
  );
}

export { hundredth, nearest, place, sentence };
export default { render };
