// A latent as numbers, the picture that a decoder makes of it, and what an edit changes.

const REACH = 8;
const OWN = -1; // where a stored change has its number

function render({ model, el, experimental }) {
  const view = widget({ model, el }, "Latent editor");
  const desk = modelDesk(view, experimental, {
    invite: "Choose a place of the latent and move its number: the decoder paints what it means.",
    alone: "The stored edits work everywhere. To set numbers yourself, open the lesson in JupyterLab and run it.",
  });
  const [, edits, channels, rows, columns] = view.get("shape");
  const shape = view.get("image_shape");
  const [area, size] = [channels * rows * columns, shape.reduce((a, b) => a * b)];
  const stored = (scene, edit) => {
    const [data, at] = [view.get("data"), scene * edits + edit];
    const scenes = view.get("shape")[0];
    const z = halves(data, 2 * at * area, area);
    const start = 2 * scenes * edits * area + at * size;
    return { z, picture: bytes(data).subarray(start, start + size) };
  };
  let own = null; // {z, picture}: what the reader has set; null for a stored edit
  const present = () => own ?? stored(view.get("scene"), view.get("edit"));
  const index = () => view.get("channel") * rows * columns + view.get("place");

  // The decoder paints the newest latent; those asked for meanwhile are passed over.
  const painter = newest(view, async (z) => {
    try {
      const { out } = await desk.run("decoder", { z: { data: z, dims: [1, channels, rows, columns] } });
      if (own) own.picture = toBytes(Float32Array.from(out.data, (x) => clamp(x, -1, 1)));
    } catch {
      own = null; // the desk has said why
    }
  });
  function paintOwn(z) {
    own = { z, picture: present().picture };
    view.redraw();
    painter.ask(z);
  }
  const edited = (change) => paintOwn(change(Float32Array.from(present().z)));
  const forget = () => {
    own = null;
    painter.forget();
    view.redraw();
  };

  const grid = latentGrid(view, rows, columns, (place) => view.set({ place }));
  const set = () => edited((z) => ((z[index()] = Number(range.value)), z));
  const range = make("input", { type: "range", min: -REACH, max: REACH, step: 0.1, oninput: set });
  const number = make("span", { class: "mm-value", "aria-hidden": "true" });
  const slide = field("Number at this place", range, number);
  const button = (text, onclick) => make("button", { class: "mm-button", type: "button", onclick }, text);
  const part = () => view.get("channel") * rows * columns;
  const zero = button("Set this channel to 0", () => edited((z) => z.fill(0, part(), part() + rows * columns)));
  const shift = button("Shift everything right by one", () => edited((z) => shifted(z, channels * rows, columns)));
  const undo = button("Undo my changes", forget);
  const tools = make("div", { class: "mm-controls" }, slide, zero, shift, undo);
  const [before, after, gap] = [picture(shape), picture(shape), picture([1, ...shape.slice(1)])];
  const figure = (title, node) => make("figure", {}, make("figcaption", {}, title), node);

  view.draw = () => {
    const first = stored(view.get("scene"), 0);
    const now = present();
    const [scene, channel, place] = ["scene", "channel", "place"].map(view.get);
    const called = view.get("names")[scene];
    const change = own ? "your changes" : view.get("edits")[view.get("edit")];
    const value = now.z[index()];
    const apart = gaps(first.picture, now.picture);
    grid.show(now.z.subarray(part(), part() + rows * columns), place, channel);
    before.show(first.picture, `“${called}”, decoded from the latent as it was`);
    after.show(now.picture, `“${called}”, decoded after: ${change}`);
    gap.show(apart.map((v) => 255 - v), "Where the picture changed: the darker, the more");
    range.value = value;
    number.textContent = fixed(value);
    range.setAttribute("aria-valuetext", number.textContent);
    tools.hidden = range.disabled = !desk.ready();
    undo.disabled = !own;
    view.say(sentence({ called, change, channel, place, columns, value, was: first.z[index()], apart }));
  };
  const options = (trait) => view.get(trait).map((text, i) => [i, text]);
  const mine = () => (own ? [[OWN, "Your changes"]] : []);
  // For controls that choose a stored change: whoever presses one wants to see that one.
  const choices = {
    ...view,
    get: (name) => (own && name === "edit" ? OWN : view.get(name)),
    set(state) {
      if (state.edit === OWN) return;
      forget();
      view.set(state);
    },
  };
  const which = Array.from({ length: channels }, (_, i) => [i, `${i + 1}`]);
  view.tidy(painter.forget);
  for (const trait of ["scene", "edit"]) model.on(`change:${trait}`, forget);
  return view.start(
    ["data", "scene", "edit", "channel", "place"],
    presetButtons(choices) ?? "",
    controls(
      choice(choices, "scene", { label: "Picture", options: options("names") }),
      choice(choices, "edit", { label: "Change", options: () => [...options("edits"), ...mine()] }),
      choice(view, "channel", { label: "Channel of the latent", options: which }),
    ),
    make(
      "div",
      { class: "mm-latent" },
      figure("The latent, one channel", grid.node),
      figure("Decoded before", before.node),
      figure("Decoded after", after.node),
      figure("Changed (dark)", gap.node),
    ),
    ...(view.get("model") ? [desk.node, tools] : []), // nobody to ask: the stored changes alone
  );
}

// One channel as coloured squares with their numbers; arrow keys and clicks choose a place.
function latentGrid(view, rows, columns, pick) {
  const canvas = make("canvas", { class: "mm-tiles", role: "img" });
  const label = "Places of the latent: the arrow keys move";
  const node = make("div", { class: "mm-holder", tabindex: 0, role: "group", "aria-label": label }, canvas);
  node.addEventListener("keydown", (event) => {
    const next = stepCell(view.get("place"), event.key, rows, columns);
    if (next === null) return;
    event.preventDefault();
    pick(next);
  });
  canvas.addEventListener("click", (event) => pick(cellAt(canvas, event, rows, columns)));
  const cell = 48;
  const show = (values, place, channel) => {
    [canvas.width, canvas.height] = [columns * cell, rows * cell];
    const context = canvas.getContext("2d");
    const [ink, paper, accent, hot] = ["ink", "paper", "accent", "hot"].map(view.color);
    [context.textAlign, context.textBaseline] = ["center", "middle"];
    context.font = "600 15px system-ui, sans-serif";
    values.forEach((value, i) => {
      const [x, y] = [(i % columns) * cell, Math.floor(i / columns) * cell];
      context.fillStyle = paper;
      context.fillRect(x, y, cell, cell);
      context.globalAlpha = 0.75 * Math.min(Math.abs(value) / 3, 1);
      context.fillStyle = value < 0 ? hot : accent;
      context.fillRect(x + 1, y + 1, cell - 2, cell - 2);
      context.globalAlpha = 1;
      context.fillStyle = ink;
      context.fillText(fixed(value, 1), x + cell / 2, y + cell / 2);
    });
    const [x, y] = [(place % columns) * cell, Math.floor(place / columns) * cell];
    for (const [color, wide] of [[paper, 8], [ink, 4]]) {
      [context.strokeStyle, context.lineWidth] = [color, wide];
      context.strokeRect(x + 3, y + 3, cell - 6, cell - 6);
    }
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const range = `from ${low.toFixed(1)} to ${high.toFixed(1)}`;
    canvas.setAttribute("aria-label", `Channel ${channel + 1} of the latent, ${rows} by ${columns} numbers ${range}`);
  };
  return { node, show };
}

// ---------- maths (tests run it under node, against Python) ----------

// Every row moved by one to the right; the first number of a row stays and is there twice.
function shifted(z, lines, columns) {
  return Float32Array.from({ length: lines * columns }, (_, i) => z[i % columns ? i - 1 : i]);
}

// The largest difference of the three channels at each pixel.
function gaps(one, two) {
  const area = one.length / 3;
  const apart = (i) => Math.abs(one[i] - two[i]);
  return Uint8Array.from({ length: area }, (_, i) => Math.max(apart(i), apart(area + i), apart(2 * area + i)));
}

function sentence({ called, change, channel, place, columns, value, was, apart }) {
  const where = `channel ${channel + 1}, row ${Math.floor(place / columns) + 1}, column ${(place % columns) + 1}`;
  const before = Math.abs(value - was) < 0.005 ? "" : `, before ${fixed(was)}`;
  const share = Math.round((100 * apart.filter((v) => v > 8).length) / apart.length);
  const most = Math.max(...apart);
  const changed = most
    ? `${share}% of the pixels changed by more than 8 grey levels, at most by ${most}.`
    : "The picture is as it was.";
  return `“${called}”, ${change}: ${where} holds ${fixed(value)}${before}. ${changed}`;
}

export { gaps, sentence, shifted };
export default { render };
