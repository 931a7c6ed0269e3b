// Four modalities with a switch each, one observation as they show it, and how often models are right.

const NAMES = ["text", "image", "audio", "sensor"];
const BOX = [200, 84]; // of a curve's own coordinates

function render({ model, el }) {
  const view = widget({ model, el }, "Modality board");
  const [, levels, ...shape] = view.get("shape");
  const [time, curves, moments] = view.get("wide");
  const [names, kinds, notes] = [view.get("models"), view.get("levels"), view.get("notes")];
  const [right, chance, truths] = [view.get("right"), view.get("chance"), view.get("truths")];
  const examples = truths.length;
  const size = shape.reduce((a, b) => a * b);
  const all = bytes(view.get("data"));
  const [second, third] = [examples * levels * size, examples * levels * (size + time)];
  const part = (start, length, k) => all.subarray(start + k * length, start + (k + 1) * length);
  const one = right.length / names.length;
  const states = () => NAMES.map((name) => view.get(name));

  const note = make("p", { class: "mm-told" });
  const canvas = make("canvas", { class: "mm-pixels", width: shape[2], height: shape[1], role: "img" });
  const wave = svg();
  const gauges = svg();
  const bodies = [note, canvas, wave, gauges];
  const options = [[0, "off"], ...kinds.map((kind, i) => [i + 1, kind])];
  const cells = NAMES.map((name, i) => {
    const title = name[0].toUpperCase() + name.slice(1);
    const off = make("p", { class: "mm-gone" }, "off");
    const frame = make("div", { class: "mm-cell" }, bodies[i], off);
    const node = make("div", { class: "mm-modality" }, choice(view, name, { label: title, options }), frame);
    return { node, off };
  });

  const bars = names.map((name) => {
    const fill = make("span", { class: "mm-fill" });
    const tick = make("span", { class: "mm-guess" });
    tick.style.left = `${100 * chance}%`;
    const value = make("span", { class: "mm-value" });
    const bar = make("span", { class: "mm-bar", "aria-hidden": "true" }, fill, tick);
    return { fill, value, node: make("li", {}, make("span", {}, name), bar, value) };
  });
  const fact = make("p", { class: "mm-hint" });

  view.draw = () => {
    const [now, example] = [states(), view.get("example")];
    now.forEach((state, i) => {
      cells[i].off.hidden = state > 0;
      bodies[i].hidden = state === 0;
    });
    const seen = now.map((state) => `example ${example + 1}, ${state ? kinds[state - 1] : "off"}`);
    const at = now.map((state) => example * levels + Math.max(state - 1, 0));
    if (now[0]) note.textContent = `“${notes[example][now[0] - 1]}”`;
    if (now[1]) paint(canvas.getContext("2d"), part(0, size, at[1]), shape, 0, 0);
    canvas.setAttribute("aria-label", `the photo of ${seen[1]}`);
    wave.replaceChildren(curve(part(second, time, at[2]), "mm-wave"));
    wave.setAttribute("aria-label", `the sound of ${seen[2]}, as a curve`);
    const rows = part(third, curves * moments, at[3]);
    const lines = Array.from({ length: curves }, (_, i) =>
      curve(rows.subarray(i * moments, (i + 1) * moments), i ? "mm-current" : "mm-heat1"),
    );
    gauges.replaceChildren(...lines);
    gauges.setAttribute("aria-label", `the gauges of ${seen[3]}, solid and dashed`);
    const known = now.some((state) => state > 0);
    const shares = names.map((_, k) => right[k * one + place(now, levels + 1)] / 1000);
    bars.forEach(({ fill, value }, k) => {
      fill.style.width = known ? `${100 * shares[k]}%` : "0";
      value.textContent = known ? percent(shares[k]) : "–";
    });
    fact.textContent = `The truth of this example: ${truths[example]}.`;
    view.say(sentence(example, now, kinds, names, shares, chance));
  };

  const numbered = truths.map((_, i) => [i, `${i + 1}`]);
  return view.start(
    [...NAMES, "example"],
    presetButtons(view) ?? "",
    make("div", { class: "mm-board" }, ...cells.map((cell) => cell.node)),
    controls(choice(view, "example", { label: "Example", options: numbered }), fact),
    make(
      "div",
      {},
      make("p", { class: "mm-title" }, "Judged rightly, all machines"),
      make("ol", { class: "mm-shares" }, ...bars.map((bar) => bar.node)),
      make("p", { class: "mm-hint", "aria-hidden": "true" }, `The line across: a guess, ${percent(chance)}.`),
    ),
  );
}

const FRAME = { viewBox: `0 0 ${BOX[0]} ${BOX[1]}`, preserveAspectRatio: "none" };
const svg = () => make("svg:svg", { class: "mm-curve", ...FRAME, role: "img" });

// A polyline through bytes, 255 at the top.
function curve(values, kind) {
  return make("svg:polyline", { class: kind, points: points(values) });
}

function points(values) {
  const step = BOX[0] / Math.max(1, values.length - 1);
  return Array.from(values, (v, i) => `${(i * step).toFixed(1)},${((1 - v / 255) * BOX[1]).toFixed(1)}`).join(" ");
}

// Where a combination of switches stands among all, the last switch running fastest.
const place = (states, count) => states.reduce((found, state) => found * count + state, 0);
const percent = (share) => `${tenth(100 * share)} %`;

function sentence(example, states, kinds, names, shares, chance) {
  const switches = states.map((state, i) => `${NAMES[i]} ${state ? kinds[state - 1] : "off"}`).join(", ");
  const start = `Example ${example + 1}: ${switches}.`;
  if (!states.some((state) => state > 0))
    return `${start} Nothing is known; a guess is right ${percent(chance)}.`;
  const said = names.map((name, k) => `${name} ${percent(shares[k])}`).join(", ");
  return `${start} Right: ${said} (a guess ${percent(chance)}).`;
}

export { percent, place, points, sentence };
export default { render };
