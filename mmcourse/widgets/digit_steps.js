// Digits drawn step by step from one noise, along walks that stop at other noise levels.

// DDIM without noise of its own, as sample_ddim: yields {x, guess} at every stop of a walk, in single
// precision wherever PyTorch's numbers are. `predict(x, step)` gives the noise in x. A step that
// comes twice is no move, and the network is not asked again.
async function* descend(predict, start, walk, alphaBar) {
  let [x, guess] = [start, null];
  for (let k = 0; k + 1 < walk.length; k++) {
    const [t, s] = [walk[k], walk[k + 1]];
    const [signal, spread] = [Math.sqrt(alphaBar[t]), Math.sqrt(1 - alphaBar[t])];
    if (t !== walk[k - 1]) {
      const noise = await predict(x, t);
      guess = Float32Array.from(x, (v, i) => clamp((v - spread * noise[i]) / signal, -1, 1));
    }
    yield { x, guess };
    if (s === t) continue;
    const [signalS, spreadS] = s < 0 ? [1, 0] : [Math.sqrt(alphaBar[s]), Math.sqrt(1 - alphaBar[s])];
    const share = spreadS / spread;
    x = Float32Array.from(x, (v, i) => guess[i] * (signalS - share * signal) + share * v);
  }
  yield { x, guess: x };
}

const seen = (values) => Uint8ClampedArray.from(values, (v) => Math.round((clamp(v, -1, 1) + 1) * 127.5));
const meanGap = (one, two) => one.reduce((sum, v, i) => sum + Math.abs(v - two[i]), 0) / one.length;
const level = (value) => (value >= 0.0995 ? value.toFixed(2) : value.toFixed(3));
const VIEWS = ["x_t", "x̂₀"];
const LAST_SEED = 2 ** 32 - 1;

function render({ model, el, experimental }) {
  const view = widget({ model, el }, "Digit steps");
  const [rows, , , ...shape] = view.get("shape");
  const size = shape.reduce((a, b) => a * b);
  const names = view.get("rows");
  let growing = null; // what is being drawn: {steps, films}, [x_t, x̂₀] of each row's stops so far
  const steps = () => growing?.steps ?? view.get("steps");
  const now = () => Math.min(growing ? growing.films[0].length - 1 : view.get("step"), steps());
  const walk = (row) => view.get("walks")[row][steps() - 1];
  const power = (row, k) => (walk(row)[k] < 0 ? 1 : view.get("alpha_bar")[walk(row)[k]]);
  const stands = (row, k) => k > 0 && walk(row)[k] === walk(row)[k - 1];

  // The pixels of a stop, null where the walk has not come yet.
  function at(row, k) {
    if (growing) return growing.films[row][k]?.[view.get("shown")] ?? null;
    const start = ((row * (steps() + 1) + k) * 2 + view.get("shown")) * size;
    return bytes(view.get("data")).subarray(start, start + size);
  }

  const own = view.get("model") ? drawer(view, experimental, { shape, size, tell }) : null;
  function tell(next) {
    growing = next;
    view.redraw();
  }

  const go = (step) => view.set({ step });
  // Presets speak of the stops of the stored film: they bring it back.
  const first = Object.fromEntries(["data", "digit", "seed", "steps"].map((name) => [name, view.get(name)]));
  const presets = presetButtons(view);
  presets?.addEventListener("click", ({ target }) => target.closest("button") && view.set(first));
  const large = names.map((name) => {
    const one = picture(shape);
    const said = make("figcaption", {}, make("b", {}, name), " ", make("span"));
    return { ...one, said, figure: make("figure", {}, said, one.node) };
  });
  const strips = names.map((name) => strip(name, shape, go));
  const graph = chart((k) => go(Math.min(k, steps())));
  const film = scroller("All stops", make("div", { class: "mm-strips" }, ...strips.map(({ node }) => node)));
  let seenStop = null;
  // The stop that is shown stays in sight, where all stops do not fit.
  function follow(stop) {
    const here = film.querySelector(".mm-here");
    if (stop !== seenStop && here) film.scrollLeft += here.getBoundingClientRect().left - film.getBoundingClientRect().left - film.clientWidth / 2;
    seenStop = stop;
  }

  view.draw = () => {
    const kind = VIEWS[view.get("shown")];
    const stop = now();
    const told = names.map((name, row) => {
      const pixels = at(row, Math.min(stop, growing ? growing.films[row].length - 1 : stop));
      const alpha = `ᾱ = ${level(power(row, stop))}`;
      if (pixels) large[row].show(pixels, `${kind} of the row “${name}” at ${alpha}`);
      large[row].said.lastChild.textContent = alpha;
      strips[row].show(steps(), stop, {
        values: (k) => at(row, k),
        label: (k) => level(power(row, k)),
        stands: (k) => stands(row, k),
        text: `${kind} of the row “${name}” at all stops, from noise to the finished digit`,
      });
      return `${name} ${alpha}${stands(row, stop) ? ", as before: no move" : ""}`;
    });
    const series = names.map((_, style) => ({
      style,
      values: Array.from({ length: steps() + 1 }, (_, k) => power(style, k)),
    }));
    const text = `ᾱ over the stops: ${told.join("; ")}`;
    const marks = Array.from({ length: steps() + 1 }, (_, k) => (k % steps() ? "" : `${k + 1}`));
    graph.show({ series, at: stop, low: 0, high: 1, ticks: [0, 0.5, 1], x: "stop", y: "ᾱ", text, marks, height: 170 });
    follow(stop);
    const { digit, seed } = growing?.asked ?? { digit: view.get("digit"), seed: view.get("seed") };
    const which = `Digit ${digit} from seed ${seed} in ${steps()} ${steps() === 1 ? "step" : "steps"}`;
    const apart = growing || rows < 2 ? "" : `; the rows differ by ${tenth(meanGap(at(0, stop), at(1, stop)))} grey levels on average`;
    view.say(`${which}, ${kind} at stop ${stop + 1} of ${steps() + 1}: ${told.join("; ")}${apart}.`);
    view.summary.setAttribute("aria-live", growing ? "off" : "polite");
  };

  const options = [[0, "x_t: what the sampler holds"], [1, "x̂₀: what the network believes"]];
  const format = (k) => `${Math.min(k, steps()) + 1} of ${steps() + 1}`;
  const stop = slider(view, "step", { label: "Stop", max: steps, format });
  stop.classList.add("mm-wide");
  return view.start(
    ["shown", "step", "data", "digit", "seed", "steps"],
    presets ?? "",
    own ?? "",
    controls(choice(view, "shown", { label: "Show", options }), stop),
    make("div", { class: "mm-pair" }, ...large.map(({ figure }) => figure)),
    film,
    graph.node,
    legend(names),
  );
}

// The stops of a walk in a row, ᾱ below each; a click shows one large.
function strip(name, shape, pick) {
  const list = make("div", { class: "mm-stops", role: "img" });
  const stop = (k) => {
    const one = picture(shape, true);
    one.node.addEventListener("click", () => pick(k));
    return Object.assign(one, { node: make("span", {}, one.node, make("small")), canvas: one.node });
  };
  let stops = [];
  function show(last, now, { values, label, stands, text }) {
    if (stops.length !== last + 1) {
      stops = Array.from({ length: last + 1 }, (_, k) => stop(k));
      list.replaceChildren(...stops.map(({ node }) => node));
    }
    stops.forEach(({ node, canvas, show }, k) => {
      const pixels = values(k);
      if (pixels) show(pixels);
      canvas.style.visibility = pixels ? "" : "hidden";
      node.classList.toggle("mm-here", k === now);
      node.lastChild.textContent = stands(k) ? "=" : label(k);
    });
    list.setAttribute("aria-label", text);
  }
  const title = make("span", { class: "mm-title", "aria-hidden": "true" }, name);
  return { node: make("div", {}, title, list), show };
}

// What is drawn, from which seed, in how many steps: by the network, wherever it runs.
function drawer(view, experimental, { shape, size, tell }) {
  const invite = "Choose a digit, a seed and the number of steps.";
  const desk = modelDesk(view, experimental, { invite });
  const most = view.get("walks")[0].length;
  const digit = make("select", {}, ...Array.from({ length: 10 }, (_, i) => make("option", {}, `${i}`)));
  const number = (min, max) => make("input", { type: "number", min, max, step: 1 });
  const fields = { seed: ["Seed", number(0, LAST_SEED)], steps: [`Steps (1 to ${most})`, number(1, most)] };
  const button = make("button", { class: "mm-button", type: "submit" }, "Draw");
  let busy = false;
  const filled = {}; // what the fields were filled with

  // What is asked for, or {problem}.
  function read() {
    const asked = { digit: digit.selectedIndex };
    for (const [name, [label, input]] of Object.entries(fields)) {
      asked[name] = input.value === "" ? NaN : Number(input.value);
      const [low, high] = [Number(input.min), Number(input.max)];
      if (!(Number.isInteger(asked[name]) && asked[name] >= low && asked[name] <= high))
        return { problem: `${label.split(" ")[0]} must be a whole number from ${low} to ${high}.` };
    }
    return asked;
  }

  async function draw(event) {
    event.preventDefault();
    if (busy || !desk.ready()) return;
    const asked = read();
    desk.told(asked.problem ?? "");
    if (asked.problem) return;
    busy = true;
    try {
      const films = await walkAll(asked);
      const data = new Uint8Array(films.flat(2).flatMap((one) => [...one]));
      tell(null);
      view.set({ data: new DataView(data.buffer), ...asked, step: asked.steps });
    } catch {} // the desk says what happened
    busy = false;
    tell(null);
  }

  // Stop by stop, all rows at once.
  async function walkAll(asked) {
    const start = normalNoise(asked.seed, size);
    const one = (value) => ({ data: Int32Array.of(value), dims: [1] });
    const predict = async (x, step) => {
      const inputs = { x: { data: x, dims: [1, ...shape] }, step: one(step), digit: one(asked.digit) };
      return (await desk.run("unet", inputs)).out.data;
    };
    const walks = view.get("walks").map((row) => row[asked.steps - 1]);
    const ways = walks.map((walk) => descend(predict, start, walk, view.get("alpha_bar")));
    const films = walks.map(() => []);
    for (let k = 0; k <= asked.steps; k++) {
      for (const [row, way] of ways.entries()) {
        const { x, guess } = (await way.next()).value;
        films[row].push([seen(x), seen(guess)]);
      }
      tell({ films, asked, steps: asked.steps });
    }
    return films;
  }

  view.updates.push(() => {
    for (const name of ["digit", ...Object.keys(fields)]) {
      if (filled[name] === view.get(name)) continue;
      filled[name] = view.get(name);
      if (name === "digit") digit.selectedIndex = filled[name];
      else fields[name][1].value = filled[name];
    }
    for (const control of [digit, fields.seed[1], fields.steps[1]]) control.disabled = !desk.ready();
    button.disabled = !desk.ready() || busy;
    button.textContent = busy ? "Drawing …" : "Draw";
  });
  const inputs = Object.values(fields).map(([label, input]) => field(label, input));
  for (const [, input] of Object.values(fields)) // JupyterLab keeps Enter from submitting
    input.addEventListener("keydown", (event) => event.key === "Enter" && draw(event));
  const form = { class: "mm-controls", novalidate: true, onsubmit: draw };
  return make("div", { class: "mm-own" }, desk.node, make("form", form, field("Digit", digit), ...inputs, button));
}

export { descend, level, meanGap, seen };
export default { render };
