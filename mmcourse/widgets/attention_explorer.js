// Who attends to whom: arcs from one query token, and the whole matrix beside them.

function render({ model, el, experimental }) {
  const view = widget({ model, el }, "Attention explorer");
  let preview = null; // the query under the pointer or the focus
  let cell = null; // the cell of the matrix, likewise

  const own = ownSentence(model, view, experimental);
  const sentence = () => own.now() ?? view.get("sentences")[view.get("sentence")];
  const queries = () => sentence().queries ?? sentence().tokens;
  const crossing = () => Boolean(sentence().queries);
  const pinned = () => Math.min(own.now()?.pinned ?? view.get("pinned"), queries().length - 1);
  const query = () => Math.min(cell?.[0] ?? preview ?? pinned(), queries().length - 1);
  const pin = (i) => {
    if (!own.now()) return view.set({ pinned: i });
    own.now().pinned = i; // a kernel knows the stored sentences alone
    view.redraw();
  };
  // The weights (queries × keys) of one head; −1 is the mean over the heads.
  const matrix = (head) => {
    const { shape, offset, weights } = sentence();
    const [, heads, rows, columns] = shape;
    const area = rows * columns;
    if (head < 0) {
      const all = Array.from({ length: heads }, (_, h) => matrix(h));
      return all[0].map((_, i) => all.reduce((sum, one) => sum + one[i], 0) / heads);
    }
    const start = area * (view.get("layer") * heads + head);
    return weights?.subarray(start, start + area) ?? halves(view.get("data"), offset + 2 * start, area);
  };

  const tokens = tokenLine(view, {
    hover: (i) => ((preview = i), view.redraw()),
    pin,
  });
  const heat = heatMap(view, "Attention matrix: the arrow keys move, Enter pins the query", {
    move: (next) => ((cell = next), view.redraw()),
    pick: ([i]) => pin(i),
  });
  const tops = make("ol", { class: "mm-top" });
  const title = make("p", { class: "mm-title" });
  const scale = make("p", { class: "mm-legend" });
  const hint = "Tap a word (or press Enter on it) to pin it; hover or focus only looks.";
  const side = make("div", {}, title, tops, scale, make("p", { class: "mm-hint" }, hint));

  const where = () => {
    const { shape } = sentence();
    const parts = shape[0] > 1 ? [`layer ${view.get("layer") + 1}`] : [];
    if (shape[1] > 1)
      parts.push(view.get("head") < 0 ? "mean over the heads" : `head ${view.get("head") + 1}`);
    return parts.length ? ` (${parts.join(", ")})` : "";
  };

  view.draw = () => {
    const values = matrix(view.get("head"));
    const [now, keys] = [query(), sentence().tokens];
    const row = values.slice(now * keys.length, (now + 1) * keys.length);
    const best = largest(row, 3).filter(([, w]) => w > 0);
    const named = best.map(([j, w]) => `“${keys[j]}” ${w.toFixed(2)}`);
    const attends = named.length ? `attends most to ${named.join(", ")}` : "attends to nothing";
    const most = Math.max(...values);
    const calm = cell === null && preview === null;
    tokens.show({ keys, queries: queries(), crossing: crossing(), now, row, calm, pinned: pinned() });
    const text = `Attention weights${where()}, ${queries().length} queries by ${keys.length} keys.`;
    heat.show({ rows: queries(), columns: keys, values, pinned: pinned(), cell, text });
    title.textContent = `“${queries()[now]}” attends to`;
    tops.replaceChildren(...best.map(([j, w]) => bar(keys[j], w)));
    scale.replaceChildren("0", make("span", { class: "mm-ramp" }), most.toFixed(2));
    if (values.some((v) => v === 0)) {
      scale.append(make("span", { class: "mm-hatch" }), "may not attend");
    }
    const one = cell && `“${queries()[cell[0]]}” gives “${keys[cell[1]]}” the weight `;
    view.say(
      own.say() +
        (one ? `${one}${values[cell[0] * keys.length + cell[1]].toFixed(3)}. ` : "") +
        `“${queries()[now]}” ${attends}${where()}.`,
    );
  };

  // Another sentence may have fewer words, layers or heads.
  view.updates.push(() => {
    if (cell?.[0] >= queries().length || cell?.[1] >= sentence().tokens.length) cell = null;
    const most = { layer: sentence().shape[0], head: sentence().shape[1] };
    if (!own.now()) most.pinned = queries().length;
    const wrong = Object.entries(most).filter(([name, count]) => view.get(name) >= count);
    if (wrong.length) view.set(Object.fromEntries(wrong.map(([name, count]) => [name, count - 1])));
  });
  const heads = () => {
    const count = sentence().shape[1];
    const list = Array.from({ length: count }, (_, h) => [h, `Head ${h + 1}`]);
    return count > 1 ? [...list, [-1, "Mean of the heads"]] : list;
  };
  const layers = () => sentence().shape[0] - 1;
  const layerName = (layer) => `${layer + 1} of ${layers() + 1}`;
  const names = view.get("sentences").map(({ name }, i) => [i, name]);
  // The pinned word stays pinned where the other sentence has it too.
  const same = (next) => {
    if (next === OWN) return {};
    const { queries: others, tokens: words } = view.get("sentences")[next];
    const place = (others ?? words).indexOf(queries()[pinned()]);
    return place < 0 ? {} : { pinned: place };
  };
  const sentences = choice(own.stored, "sentence", {
    label: "Sentence",
    options: () => [...names, ...own.names()],
    also: same,
  });
  const layer = slider(view, "layer", { label: "Layer", max: layers, format: layerName });
  const head = choice(view, "head", { label: "Head", options: heads });
  return view.start(
    ["data", "sentences", "sentence", "layer", "head", "pinned"],
    presetButtons(own.stored) ?? "",
    own.node,
    controls(sentences, layer, head),
    tokens.node,
    make("div", { class: "mm-split" }, heat.node, side),
  );
}

const bar = (name, w) =>
  make(
    "li",
    {},
    make("span", { class: "mm-word" }, short(name, 20)),
    make("span", { class: "mm-bar" }, make("i", { style: `width:${Math.max(100 * w, 1)}%` })),
    make("b", {}, w.toFixed(2)),
  );

// A line of words with arcs above it; for two sequences a line of keys above a line of queries.
// One stop of the Tab key, then the arrow keys move among the words.
function tokenLine(view, { hover, pin }) {
  const arcs = make("svg:svg", { class: "mm-arcs", "aria-hidden": "true" });
  const above = make("div", { class: "mm-tokens mm-keys", "aria-hidden": "true" });
  const line = make("div", { class: "mm-tokens", role: "toolbar", "aria-label": "Query" });
  const inner = make("div", { class: "mm-line-of-tokens" }, arcs, above, line);
  const node = make("div", { class: "mm-scroll" }, inner);
  let buttons = [];
  let seen = "";

  const press = (event) => {
    const i = buttons.indexOf(document.activeElement);
    const goal = { ArrowLeft: i - 1, ArrowRight: i + 1, Home: 0, End: buttons.length - 1 };
    if (i < 0 || !(event.key in goal)) return;
    event.preventDefault();
    buttons[clamp(goal[event.key], 0, buttons.length - 1)].focus();
  };
  line.addEventListener("keydown", press);
  line.addEventListener("pointerleave", () => hover(null));
  line.addEventListener("focusout", () => hover(null));

  const token = (words, i) =>
    make(
      "button",
      {
        class: "mm-token",
        type: "button",
        onclick: () => pin(i),
        onpointerenter: () => hover(i),
        onfocus: (event) => event.target.matches(":focus-visible") && hover(i),
      },
      make("span", {}, words),
      make("small", {}),
    );
  const place = (box) => box.offsetLeft + box.offsetWidth / 2;

  // Where the line is too long for its place: bring the query and its strongest key into sight.
  function reveal(from, to) {
    const middle = (from + to) / 2 - node.clientWidth / 2;
    node.scrollLeft = clamp(middle, from - node.clientWidth + 48, from - 48);
  }

  function show({ keys, queries, crossing, now, row, calm, pinned }) {
    if (queries.join("\n") !== buttons.map((b) => b.firstChild.textContent).join("\n")) {
      buttons = queries.map(token);
      line.replaceChildren(...buttons);
    }
    above.hidden = !crossing;
    const box = (words) =>
      make("span", { class: "mm-token" }, make("small", {}), make("span", {}, words));
    if (crossing) above.replaceChildren(...keys.map(box));
    const ends = crossing ? [...above.children] : buttons;
    buttons.forEach((button, i) => {
      button.tabIndex = i === pinned ? 0 : -1;
      button.setAttribute("aria-pressed", i === pinned);
      button.classList.toggle("mm-now", i === now);
    });
    ends.forEach((end, j) => {
      end.classList.toggle("mm-masked", row[j] === 0);
      end.style.setProperty("--w", row[j]);
      end.querySelector("small").textContent = weight(row[j]);
    });
    const most = Math.max(...row, 1e-9);
    const from = place(buttons[now]);
    const floor = crossing ? line.offsetTop : 108;
    inner.style.paddingTop = crossing ? "0" : "108px";
    const curve = crossing ? crossed : arc;
    const paths = ends.map((end, j) => {
      if (row[j] === 0) return null;
      const d = curve(from, place(end), floor, end.offsetTop + end.offsetHeight);
      const look = { "stroke-width": 1 + 8 * row[j], opacity: 0.12 + (0.88 * row[j]) / most };
      return make("svg:path", { class: "mm-arc", d, ...look });
    });
    arcs.setAttribute("width", inner.scrollWidth);
    arcs.setAttribute("height", crossing ? line.offsetTop : 108);
    arcs.replaceChildren(...paths.filter(Boolean));
    const goal = place(ends[row.indexOf(most)] ?? buttons[now]);
    if (calm && `${from} ${goal}` !== seen) reveal(from, goal);
    if (calm) seen = `${from} ${goal}`;
  }
  return { node, show };
}

// From query to key above the line; a loop where a word attends to itself.
function arc(x, y, floor) {
  if (x === y) return `M${x - 7},${floor} C${x - 20},${floor - 34} ${x + 20},${floor - 34} ${x + 7},${floor}`;
  const rise = Math.min(24 + Math.abs(x - y) * 0.42, 132);
  return `M${x},${floor} C${x},${floor - rise} ${y},${floor - rise} ${y},${floor}`;
}

function crossed(x, y, floor, ceiling) {
  const middle = (floor + ceiling) / 2;
  return `M${x},${floor} C${x},${middle} ${y},${middle} ${y},${ceiling}`;
}

export default { render };
