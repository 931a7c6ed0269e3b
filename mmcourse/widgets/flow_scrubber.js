// Noise on its way to data, map by map: points, a net on the plane, and the density of one point.

const SIDE = 400; // of the plane, in the units of its drawing

function render({ model, el }) {
  const view = widget({ model, el }, "Flow scrubber");
  const [states, points, lines, knots] = view.get("shape");
  const [names, reach, last] = [view.get("names"), view.get("reach"), states - 1];
  const flow = unpack(view.get("data"), view.get("shape"));
  const now = () => clamp(view.get("step"), 0, last);
  const go = (step) => view.set({ step });
  const onto = (share) => Number((share * SIDE).toFixed(1));
  const place = ([x, y]) => [onto((x + reach) / (2 * reach)), onto((reach - y) / (2 * reach))];
  const inside = ([x, y]) => Math.max(Math.abs(x), Math.abs(y)) <= reach;
  // A curve as a path, broken where it leaves the plane.
  const strand = (dots) => {
    let pen = false;
    const part = (one) => {
      const letter = pen ? "L" : "M";
      pen = inside(one);
      return pen ? letter + place(one).join(",") : "";
    };
    return dots.map(part).join("");
  };

  const plane = make("svg:svg", { class: "mm-plane", role: "img", viewBox: `0 0 ${SIDE} ${SIDE}` });
  plane.addEventListener("click", (event) => {
    const box = plane.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * 2 * reach - reach;
    const y = reach - ((event.clientY - box.top) / box.height) * 2 * reach;
    view.set({ point: nearest(flow.path, now(), points, x, y) });
  });
  const graph = chart(go);
  const items = names.map((name, i) => make("li", {}, sample(i), name));
  const key = make("ul", { class: "mm-legend" }, ...items, make("li", {}, sample(2), "the point followed"));
  const button = player(view, { now, go, last, pace: 400 });

  view.draw = () => {
    const [step, point] = [now(), view.get("point")];
    const dot = (values, i) => values.subarray(2 * i, 2 * i + 2);
    const at = (k, i) => dot(flow.path, k * points + i);
    const count = (n) => Array.from({ length: n }, (_, i) => i);
    const curves = count(lines).map((line) => {
      const from = (step * lines + line) * knots;
      return strand(count(knots).map((j) => dot(flow.net, from + j)));
    });
    const marks = [0, 1].map((group) => {
      const own = count(points).filter((i) => flow.groups[i] === group && inside(at(step, i)));
      const d = own.map((i) => mark(group, ...place(at(step, i)), 3.2)).join("");
      return make("svg:path", { class: `mm-group${group}`, d });
    });
    const here = at(step, point);
    plane.replaceChildren(
      make("svg:path", { class: "mm-net", d: curves.join("") }),
      ...marks,
      make("svg:path", { class: "mm-trail", d: strand(count(step + 1).map((k) => at(k, point))) }),
      make("svg:path", { class: "mm-followed", d: inside(here) ? mark(2, ...place(here), 7) : "" }),
    );
    const [wide, high] = spread(flow.path, step, points);
    plane.setAttribute(
      "aria-label",
      `${points} points after ${step} of ${last} maps, most of them within ${hundredth(wide)} across and ${hundredth(high)} up and down of the middle; point ${point + 1} ${inside(here) ? "is marked" : "is out of the picture"}`,
    );
    const values = count(states).map((k) => flow.logs[k * points + point]);
    const [low, top] = [Math.floor(Math.min(...values) - 0.2), Math.ceil(Math.max(...values) + 0.2)];
    graph.show({
      series: [{ values, style: 0 }],
      at: step,
      low,
      high: top,
      ticks: [low, (low + top) / 2, top],
      x: "maps applied",
      y: "log-density at the point, nats",
      text: `Log-density of point ${point + 1} after each map: ${values.map(hundredth).join(", ")}; marked: ${step}`,
      height: 180,
    });
    view.say(sentence(step, point, states, points, names, flow));
  };

  const format = (step) => `${step} of ${last}`;
  const slide = slider(view, "step", { label: "Maps applied", max: last, format });
  slide.classList.add("mm-wide");
  const follow = slider(view, "point", { label: "Point", max: points - 1, format: (i) => String(i + 1) });
  follow.classList.add("mm-wide");
  return view.start(
    ["step", "point", "data"],
    presetButtons(view) ?? "",
    controls(button, slide, follow),
    make("div", { class: "mm-flow" }, make("div", {}, plane, key), make("div", {}, graph.node)),
  );
}

// ---------- numbers (tests run them under node, against Python) ----------

// −1.234 → "−1.23"; halves go up, as in Python's `hundredth`.
const hundredth = (value) => (Math.floor(100 * value + 0.5) / 100).toFixed(2).replace("-", "−");

// The numbers of the trait, in the order in which Python wrote them.
function unpack(view, [states, points, lines, knots]) {
  const [moved, logs, net] = [2 * states * points, states * points, 2 * states * lines * knots];
  const start = 2 * (moved + logs + net);
  return {
    path: halves(view, 0, moved),
    logs: halves(view, 2 * moved, logs),
    net: halves(view, 2 * (moved + logs), net),
    groups: bytes(view).subarray(start, start + points),
  };
}

function nearest(path, step, points, x, y) {
  const gap = (i) => Math.hypot(path[2 * (step * points + i)] - x, path[2 * (step * points + i) + 1] - y);
  return Array.from({ length: points }, (_, i) => i).reduce((a, b) => (gap(b) < gap(a) ? b : a));
}

// Nine points in ten lie within so much of the middle, on each axis.
function spread(path, step, points) {
  return [0, 1].map((axis) => {
    const all = Array.from({ length: points }, (_, i) => Math.abs(path[2 * (step * points + i) + axis]));
    return all.sort((a, b) => a - b)[Math.floor(0.9 * (points - 1))];
  });
}

function sentence(step, point, states, points, names, { path, logs, groups }) {
  const at = step * points + point;
  const where = `(${hundredth(path[2 * at])}, ${hundredth(path[2 * at + 1])})`;
  const who = `point ${point + 1} (${names[groups[point]]}) lies at ${where}`;
  const now = hundredth(logs[at]);
  if (step === 0) return `z₀, pure noise: ${who}, where the log-density is ${now}.`;
  const factor = hundredth(Math.exp(logs[at - points] - logs[at]));
  return `After map ${step} of ${states - 1}: ${who}. This map made the area around it ${factor} times as large; the log-density is now ${now}.`;
}

// ---------- parts ----------

// A circle, a triangle or a diamond as a path.
function mark(kind, x, y, r) {
  if (kind === 0) return `M${x - r},${y}a${r},${r} 0 1,0 ${2 * r},0a${r},${r} 0 1,0 ${-2 * r},0z`;
  if (kind === 1) return `M${x},${(y - 1.25 * r).toFixed(1)}l${1.1 * r},${2 * r}h${-2.2 * r}z`;
  return `M${x},${y - r}l${r},${r}l${-r},${r}l${-r},${-r}z`;
}

const sample = (kind) =>
  make(
    "svg:svg",
    { class: "mm-swatch", viewBox: "0 0 26 10", "aria-hidden": "true" },
    make("svg:path", { class: kind < 2 ? `mm-group${kind}` : "mm-followed", d: mark(kind, 13, 5, 4) }),
  );

export { hundredth, nearest, sentence, spread, unpack };
export default { render };
