// Where a patch looks: a query patch in the picture, and the picture lit by its attention.

function render({ model, el }) {
  const view = widget({ model, el }, "Patch attention");
  const [pictures, layers, heads, tokens] = view.get("shape");
  const shape = view.get("image_shape");
  const [, height, width] = shape;
  const side = Math.round(Math.sqrt(tokens - 1));
  const size = shape.reduce((a, b) => a * b);
  const data = view.get("data");
  const all = bytes(data);
  const first = pictures * size;
  const scales = first + pictures * layers * heads * tokens * tokens;
  let preview = null; // the token under the pointer or the arrow keys

  const index = (layer, head, token) =>
    ((view.get("picture") * layers + layer) * heads + head) * tokens + token;
  const one = (layer, head, token) => {
    const i = index(layer, head, token);
    const values = all.subarray(first + i * tokens, first + (i + 1) * tokens);
    return rescale(values, half(data.getUint16(scales + 2 * i, true)));
  };
  const row = (layer, head, token) =>
    layer < 0
      ? rollout((l, t) => row(l, -1, t), layers, tokens, token)
      : head < 0
        ? mean(Array.from({ length: heads }, (_, h) => one(layer, h, token)))
        : one(layer, head, token);

  const now = () => preview ?? view.get("pinned");
  const name = (token) =>
    token === 0
      ? "the class token"
      : `patch (row ${Math.floor((token - 1) / side) + 1}, column ${((token - 1) % side) + 1})`;
  const hover = (token) => {
    if (token === preview) return;
    preview = token;
    view.redraw();
  };
  const pin = (token) => {
    preview = null;
    view.set({ pinned: token });
    view.redraw();
  };

  const query = board("Patches: the arrow keys move, Enter pins, Home is the class token");
  const lit = board();
  query.node.addEventListener("pointermove", (event) => hover(query.find(event, side)));
  query.node.addEventListener("pointerleave", () => hover(null));
  query.node.addEventListener("click", (event) => pin(query.find(event, side)));
  query.node.addEventListener("blur", () => hover(null));
  query.node.addEventListener("keydown", (event) => {
    const next = step(now(), event.key, side);
    if (next !== null) hover(next);
    else if (event.key === "Enter" || event.key === " ") pin(now());
    else return;
    event.preventDefault();
  });
  const figure = (part, ...words) => make("figure", {}, make("figcaption", {}, ...words), part);
  const chosen = make("b");
  const where = make("span");
  const boards = make(
    "div",
    { class: "mm-boards" },
    figure(query.node, chosen),
    figure(lit.node, make("b", {}, "attends to"), where),
  );
  const cls = make("button", { class: "mm-button", type: "button", onclick: () => pin(0) }, "Pin the class token");
  cls.addEventListener("pointerenter", () => hover(0));
  cls.addEventListener("pointerleave", () => hover(null));

  // All layers and heads at a glance, each a map as small as the grid.
  const maps = Array.from({ length: layers * heads }, (_, i) => {
    const go = { layer: Math.floor(i / heads), head: i % heads };
    const canvas = make("canvas", { class: "mm-pixels", width: side, height: side });
    canvas.addEventListener("click", () => view.set(go));
    return { ...go, canvas };
  });
  const mosaic = make("div", { class: "mm-mosaic", role: "img", style: `--mm-heads:${heads}` });
  maps.forEach(({ layer, head, canvas }) => {
    if (head === 0) mosaic.append(make("span", { "aria-hidden": "true" }, `layer ${layer + 1}`));
    mosaic.append(canvas);
  });
  const many = layers * heads > 1;
  const title = make("p", { class: "mm-title" }, "Every layer (down) and head (across)");
  const glance = make("div", { hidden: !many }, title, mosaic);

  const ofMost = ([, ...patches]) => {
    const most = Math.max(...patches, 1e-9);
    return patches.map((value) => value / most);
  };

  view.draw = () => {
    const [token, layer, head] = [now(), view.get("layer"), view.get("head")];
    const values = row(layer, head, token);
    const start = view.get("picture") * size;
    const image = small(all.subarray(start, start + size), shape);
    const look = { image, width, height, side, token, hot: view.color("hot"), grid: view.color("edge") };
    query.paint(look);
    lit.paint({ ...look, values });
    const called = view.get("names")[view.get("picture")];
    const by = head < 0 ? "mean over the heads" : `head ${head + 1}`;
    const place = layer < 0 ? "all layers, rollout" : `layer ${layer + 1}, ${by}`;
    const told = name(token);
    chosen.textContent = told[0].toUpperCase() + told.slice(1);
    where.textContent = place;
    cls.setAttribute("aria-pressed", view.get("pinned") === 0);
    const best = largest(values, 3).filter(([, w]) => w > 0);
    const best3 = best.map(([j, w]) => `${name(j)} ${w.toFixed(2)}`).join(", ");
    query.label(`The picture “${called}” in ${side} by ${side} patches; query: ${told}.`);
    lit.label(`The same picture, lit where ${told} looks (${place}): most at ${best3}.`);
    maps.forEach((map) => {
      shine(map.canvas, ofMost(row(map.layer, map.head, token)), side, view.color("accent"));
      map.canvas.classList.toggle("mm-on", map.layer === layer && (head < 0 || map.head === head));
    });
    mosaic.setAttribute("aria-label", `Small maps of where ${told} looks, ${layers} layers by ${heads} heads.`);
    view.say(`${chosen.textContent} attends most to ${best3} (${place}).`);
  };

  const options = view.get("names").map((text, i) => [i, text]);
  const list = Array.from({ length: layers }, (_, l) => [l, `Layer ${l + 1}`]);
  if (layers > 1) list.push([-1, "All layers (rollout)"]);
  const ways = Array.from({ length: heads }, (_, h) => [h, `Head ${h + 1}`]);
  if (heads > 1) ways.push([-1, "Mean of the heads"]);
  const hint = "Hover over a patch of the left picture to look; click or press Enter to pin it.";
  return view.start(
    ["data", "picture", "layer", "head", "pinned"],
    presetButtons(view) ?? "",
    controls(
      choice(view, "picture", { label: "Picture", options }),
      choice(view, "layer", { label: "Layer", options: list }),
      choice(view, "head", { label: "Head", options: () => (view.get("layer") < 0 ? [] : ways) }),
      cls,
    ),
    make("div", { class: "mm-split" }, boards, glance),
    make("p", { class: "mm-hint" }, hint),
  );
}

// Bytes relative to the largest of them → weights.
const rescale = (values, most) => Float64Array.from(values, (v) => (v / 255) * most);

const mean = (rows) =>
  rows[0].map((_, i) => rows.reduce((sum, one) => sum + one[i], 0) / rows.length);

// A row of R = A_L ⋯ A₁ with A = ½ attention + ½ I: `row(layer, token)` gives attention's rows.
function rollout(row, layers, tokens, token) {
  let mixed = Float64Array.from({ length: tokens }, (_, i) => Number(i === token));
  for (let layer = layers - 1; layer >= 0; layer--) {
    const next = mixed.map((w) => w / 2);
    mixed.forEach((share, t) => {
      if (share > 0) row(layer, t).forEach((w, j) => (next[j] += (share * w) / 2));
    });
    mixed = next;
  }
  return mixed;
}

// The token an arrow key leads to; token 0 (the class token) lies before the first patch.
function step(token, key, side) {
  if (key === "Home") return 0;
  const next = stepCell(Math.max(token - 1, 0), key, side, side);
  if (next === null) return null;
  return token === 0 ? 1 : 1 + next;
}

// The picture at its own resolution.
function small(values, shape) {
  const canvas = make("canvas", { width: shape[2], height: shape[1] });
  paint(canvas.getContext("2d"), values, shape);
  return canvas;
}

// A large picture with the grid of patches; with a label it takes the focus.
function board(label) {
  const canvas = make("canvas", { class: "mm-board", role: "img" });
  const holder = { class: "mm-holder", tabindex: 0, role: "group", "aria-label": label };
  const node = label ? make("div", holder, canvas) : make("div", {}, canvas);
  const find = (event, side) => 1 + cellAt(canvas, event, side, side);
  function draw({ image, width, height, side, token, values, hot, grid }) {
    const scale = Math.max(1, Math.floor(480 / width));
    [canvas.width, canvas.height] = [width * scale, height * scale];
    const context = canvas.getContext("2d");
    context.imageSmoothingEnabled = false;
    context.drawImage(image, 0, 0, canvas.width, canvas.height);
    const [wide, high] = [canvas.width / side, canvas.height / side];
    const at = (t) => [((t - 1) % side) * wide, Math.floor((t - 1) / side) * high];
    if (values) {
      const most = Math.max(...values.slice(1), 1e-9);
      context.fillStyle = "#101418"; // the dark, in every theme: what is not attended to
      for (let t = 1; t < values.length; t++) {
        context.globalAlpha = 0.85 * (1 - values[t] / most);
        context.fillRect(...at(t), wide, high);
      }
    }
    context.globalAlpha = 0.5;
    context.strokeStyle = grid;
    context.lineWidth = 1;
    for (let i = 0; i <= side; i++) {
      context.strokeRect(i * wide, 0, 0, canvas.height);
      context.strokeRect(0, i * high, canvas.width, 0);
    }
    context.globalAlpha = 1;
    context.strokeStyle = hot;
    context.lineWidth = 8;
    if (token > 0) {
      const [x, y] = at(token);
      context.strokeRect(x + 4, y + 4, wide - 8, high - 8);
    } else context.strokeRect(4, 4, canvas.width - 8, canvas.height - 8);
  }
  return { node, find, paint: draw, label: (text) => canvas.setAttribute("aria-label", text) };
}

export { rescale, rollout, step };
export default { render };
