// Models in a triangle of three wishes, ranked by weights, with samples of the chosen one.

const WIDE = 360; // of the triangle's own coordinates
const HIGH = 330;
const ROOM = 38;
const TOP = Math.sqrt(3) / 2;
const CORNERS = [[0, 0], [1, 0], [0.5, TOP]];
const WEIGHTS = ["first", "second", "third"];

function render({ model, el }) {
  const view = widget({ model, el }, "Trilemma triangle");
  const [models, count, ...shape] = view.get("shape");
  const size = shape.reduce((a, b) => a * b);
  const pixels = bytes(view.get("data"));
  const [names, corners, measures] = [view.get("names"), view.get("corners"), view.get("measures")];
  const [scores, said] = [view.get("scores"), view.get("said")];
  const weights = () => WEIGHTS.map((name) => view.get(name));

  const frame = { class: "mm-triangle", viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img" };
  const plane = make("svg:svg", frame);
  let badges = [];
  const follow = (event) => {
    const box = plane.getBoundingClientRect();
    const scale = WIDE / box.width;
    const [x, y] = [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
    const gaps = badges.map(([a, b]) => Math.hypot(a - x, b - y));
    const near = gaps.indexOf(Math.min(...gaps));
    if (gaps[near] < 22 && near !== view.get("model")) view.set({ model: near });
  };
  plane.addEventListener("pointerdown", follow);
  plane.addEventListener("pointermove", follow);

  const list = make("ol", { class: "mm-ranks" });
  const look = { class: "mm-pixels", width: 6 * (shape[2] + 1) - 1, role: "img" };
  const canvas = make("canvas", { ...look, height: Math.ceil(count / 6) * (shape[1] + 1) - 1 });
  const title = make("p", { class: "mm-title" });

  view.draw = () => {
    const [measure, now] = [view.get("measure"), view.get("model")];
    const rows = scores[measure];
    const points = rows.map((row) => onto(place(row, weights())));
    badges = apart(points);
    drawTriangle(plane, corners, weights(), points, badges, now);
    plane.setAttribute(
      "aria-label",
      `${models} models between ${corners.join(", ")}, by ${measures[measure]}; marked: ${now + 1}, ${names[now]}`,
    );
    const totals = rows.map((row) => mean(row, weights()));
    const order = totals.map((_, i) => i).sort((a, b) => totals[b] - totals[a] || a - b);
    list.replaceChildren(...order.map((i) => rank(i, names[i], totals[i], i === now)));
    const context = canvas.getContext("2d");
    for (let i = 0; i < count; i++) {
      const start = (now * count + i) * size;
      const [x, y] = [(i % 6) * (shape[2] + 1), Math.floor(i / 6) * (shape[1] + 1)];
      paint(context, pixels.subarray(start, start + size), shape, x, y);
    }
    canvas.setAttribute("aria-label", `${count} pictures: ${names[now]}`);
    title.textContent = `${now + 1} · ${names[now]}`;
    view.say(
      sentence(names[now], measures[measure], corners, rows[now], said[measure][now], weights(), totals, now),
    );
  };

  const sliders = WEIGHTS.map((name, i) => slider(view, name, { label: `Weight of ${corners[i]}`, max: 4 }));
  const numbered = names.map((name, i) => [i, `${i + 1} · ${name}`]);
  return view.start(
    ["measure", "model", ...WEIGHTS],
    presetButtons(view) ?? "",
    controls(
      choice(view, "measure", { label: "Measured by", options: measures.map((name, i) => [i, name]) }),
      choice(view, "model", { label: "Samples of", options: numbered }),
    ),
    controls(...sliders),
    make(
      "div",
      { class: "mm-trilemma" },
      make("figure", {}, plane),
      make(
        "div",
        { class: "mm-side" },
        make("figure", {}, title, canvas),
        make("div", {}, make("p", { class: "mm-title" }, "Mean score with these weights"), list),
      ),
    ),
  );
}

const onto = ([x, y]) => [ROOM + x * (WIDE - 2 * ROOM), HIGH - ROOM - y * (WIDE - 2 * ROOM)];

// Σ w s / Σ w, and 0 if no wish has any weight.
function mean(scores, weights) {
  const total = weights[0] + weights[1] + weights[2];
  const parts = weights.map((weight, i) => weight * scores[i]);
  return total ? (parts[0] + parts[1] + parts[2]) / total : 0;
}

// Σ w s corner / Σ w s; the middle where nothing pulls.
function place(scores, weights) {
  const pulls = weights.map((weight, i) => weight * scores[i]);
  const total = pulls[0] + pulls[1] + pulls[2];
  const shares = pulls.map((pull) => (total ? pull / total : 1 / 3));
  return [0, 1].map((axis) => shares.reduce((sum, share, i) => sum + share * CORNERS[i][axis], 0));
}

// Where the numbers stand: at their points, but pushed apart where these lie too close.
function apart(points, least = 21) {
  const spots = points.map(([x, y], i) => [x + 0.01 * i, y + 0.007 * i]);
  for (let round = 0; round < 80; round++)
    for (let i = 0; i < spots.length; i++)
      for (let j = 0; j < i; j++) {
        const [dx, dy] = [spots[i][0] - spots[j][0], spots[i][1] - spots[j][1]];
        const gap = Math.hypot(dx, dy);
        if (gap >= least) continue;
        const push = (least - gap) / 2 / Math.max(gap, 1e-6);
        spots[i] = [spots[i][0] + dx * push, spots[i][1] + dy * push];
        spots[j] = [spots[j][0] - dx * push, spots[j][1] - dy * push];
      }
  return spots;
}

function drawTriangle(node, corners, weights, points, badges, now) {
  const ends = CORNERS.map(onto);
  const edge = make("svg:polygon", { class: "mm-side3", points: ends.map((p) => p.join(",")).join(" ") });
  const anchors = ["start", "end", "middle"];
  const words = corners.map((corner, i) => {
    const [x, y] = ends[i];
    const shift = [-26, 26, 0][i];
    const traits = { x: x + shift, y: y + (i === 2 ? -10 : 24), "text-anchor": anchors[i] };
    const kind = weights[i] ? "mm-corner" : "mm-corner mm-off";
    return make("svg:text", { ...traits, class: kind }, weights[i] ? `${corner} × ${weights[i]}` : `(${corner})`);
  });
  const order = points.map((_, i) => i).filter((i) => i !== now);
  const marks = [...order, now].flatMap((i) => {
    const [[x, y], [a, b]] = [points[i], badges[i]];
    const kind = i === now ? "mm-badge mm-chosen" : "mm-badge";
    return [
      make("svg:line", { class: "mm-lead", x1: x, y1: y, x2: a, y2: b }),
      make("svg:circle", { class: "mm-true", cx: x, cy: y, r: 2.5 }),
      make("svg:circle", { class: kind, cx: a, cy: b, r: i === now ? 12 : 10 }),
      make("svg:text", { class: "mm-digit", x: a, y: b + 4 }, String(i + 1)),
    ];
  });
  node.replaceChildren(edge, ...words, ...marks);
}

function rank(index, name, total, chosen) {
  const bar = make("span", { class: "mm-bar", "aria-hidden": "true" }, make("span", {}));
  bar.firstChild.style.width = `${(100 * total).toFixed(1)}%`;
  const number = make("span", { class: "mm-value" }, hundredth(total));
  const words = make("span", { class: "mm-name" }, `${index + 1} · ${name}`);
  return make("li", { class: chosen ? "mm-chosen" : "" }, words, bar, number);
}

// 0.125 → "0.13"; halves go up, as in Python's `hundredth`.
const hundredth = (value) => (Math.floor(100 * value + 0.5) / 100).toFixed(2);

function sentence(name, measure, corners, own, words, weights, totals, now) {
  const parts = corners.map((corner, i) => `${corner} ${hundredth(own[i])} (${words[i]})`);
  const rank = 1 + totals.filter((total) => total > totals[now]).length;
  return (
    `${name}, by ${measure}: ${parts.join(", ")}. With the weights ${weights.join(" : ")} its mean ` +
    `score is ${hundredth(totals[now])}, number ${rank} of ${totals.length}.`
  );
}

export { apart, hundredth, mean, place, sentence };
export default { render };
