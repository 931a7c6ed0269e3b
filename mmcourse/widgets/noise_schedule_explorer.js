// The same picture and the same noise under several schedules, step by step.

const GRAPHS = [
  ["power", "Signal power ᾱ"],
  ["rates", "Signal √ᾱ (falls) and noise √(1 − ᾱ) (rises)"],
  ["snr", "Signal-to-noise ratio in dB"],
];
const SLIP = "cosine without the square";
const percent = (share) =>
  share >= 0.0995 ? `${Math.round(100 * share)} %` : `${Number((100 * share).toPrecision(2))} %`;
const decibels = (signal) => {
  const value = snrDb(signal);
  return `${value < 0 ? "−" : ""}${Math.abs(value).toFixed(1)} dB`;
};

function render({ model, el }) {
  const view = widget({ model, el }, "Noise schedule explorer");
  const shape = view.get("shape");
  const size = shape.reduce((a, b) => a * b);
  const last = view.get("steps") - 1;
  const data = view.get("data");
  // In the data: the picture (a byte each), the noise (two), then ᾱ of every schedule (four).
  const clean = fromBytes(bytes(data).subarray(0, size));
  const noise = halves(data, size, size);
  const given = view.get("names").map((name, i) => {
    const from = 3 * size + 4 * (last + 1) * i;
    return { name, signal: floats(data, from, last + 1), style: i };
  });
  const slip = { name: SLIP, signal: cosineAlphaBar(last + 1, 0.008, 1), style: given.length };
  const schedules = () => (view.get("slip") ? [...given, slip] : given);
  const chosen = () => schedules()[Math.min(view.get("schedule"), schedules().length - 1)];
  const noised = ({ signal }, t) => toBytes(qSample(clean, noise, signal[t]));
  const go = (step) => view.set({ step });

  const strip = film(9, shape, go);
  const graph = chart(go);
  const names = make("div");
  const figures = make("div", { class: "mm-figures" });
  const table = make("table", { class: "mm-numbers" });
  const original = picture(shape);
  original.show(toBytes(clean), "The picture without noise");
  let shown = [];

  // One figure per schedule, made again only when their number changes.
  function gather() {
    if (shown.length === schedules().length) return;
    const first = make("figure", {}, original.node, make("figcaption", {}, "x₀, no noise"));
    shown = schedules().map(({ name, style }) => {
      const one = picture(shape);
      const caption = make("figcaption", {}, swatch(style), name);
      return { ...one, figure: make("figure", {}, one.node, caption) };
    });
    const count = shown.length + 1;
    figures.style.setProperty("--mm-all", count);
    figures.style.setProperty("--mm-few", count === 3 ? 3 : 2);
    figures.replaceChildren(first, ...shown.map(({ figure }) => figure));
    names.replaceChildren(legend(schedules().map(({ name }) => name)));
  }

  function tabulate(t) {
    const head = ["Schedule", "ᾱ", "√ᾱ", "√(1 − ᾱ)", "SNR"];
    const cells = ({ signal }) => {
      const a = signal[t];
      return [a, Math.sqrt(a), Math.sqrt(1 - a)].map((v) => v.toFixed(3)).concat(decibels(a));
    };
    const line = (one) => {
      const name = make("th", { scope: "row" }, swatch(one.style), one.name);
      return make("tr", {}, name, ...cells(one).map((words) => make("td", {}, words)));
    };
    const titles = head.map((words) => make("th", { scope: "col" }, words));
    const top = make("thead", {}, make("tr", {}, ...titles));
    table.replaceChildren(top, make("tbody", {}, ...schedules().map(line)));
  }

  function plot(t) {
    const kind = view.get("graph");
    const curve = {
      power: ({ signal, style }) => [{ values: signal, style }],
      rates: ({ signal, style }) => [
        { values: signal.map(Math.sqrt), style },
        { values: signal.map((a) => Math.sqrt(1 - a)), style },
      ],
      snr: ({ signal, style }) => [{ values: signal.map(snrDb), style }],
    }[kind];
    const y = GRAPHS.find(([name]) => name === kind)[1];
    const axis = { low: 0, high: 1, ticks: [0, 0.25, 0.5, 0.75, 1] };
    const loud = { low: -40, high: 40, ticks: [-40, -20, 0, 20, 40] };
    const series = schedules().flatMap(curve);
    const text = `${y} over the steps, for ${schedules().map((s) => s.name).join(", ")}; step ${t}.`;
    graph.show({ series, at: t, ...(kind === "snr" ? loud : axis), x: "step t", y, text });
  }

  view.draw = () => {
    const t = clamp(view.get("step"), 0, last);
    gather();
    schedules().forEach((one, i) => {
      const text = `The picture at step ${t} under the ${one.name} schedule`;
      shown[i].show(noised(one, t), text);
      shown[i].figure.classList.toggle("mm-chosen", one === chosen());
    });
    const one = chosen();
    const text = `The picture at nine steps of the ${one.name} schedule, from clean to noise`;
    strip.show(last, t, (step) => noised(one, step), text);
    tabulate(t);
    plot(t);
    const said = schedules().map(
      ({ name, signal }) => `${name} keeps ${percent(signal[t])} of the signal power`,
    );
    view.say(`Step ${t} of 0 … ${last}: ${said.join(", ")}.`);
  };

  const list = () => schedules().map(({ name }, i) => [i, name]);
  const step = slider(view, "step", { label: "Step t", max: last });
  step.classList.add("mm-wide");
  const ends = make("p", { class: "mm-ends" }, "step 0", make("span", {}, `step ${last}`));
  return view.start(
    ["step", "schedule", "graph", "slip"],
    presetButtons(view) ?? "",
    controls(step, choice(view, "schedule", { label: "Strip shows", options: list })),
    make("div", {}, strip.node, ends),
    figures,
    controls(
      choice(view, "graph", { label: "Graph shows", options: GRAPHS }),
      view.get("offer") ? toggle(view, "slip", { label: "Forget the square of the cosine" }) : "",
    ),
    make("div", {}, graph.node, names),
    scroller("Signal and noise at this step", table),
  );
}

// ---------- maths (tests run it under node, against Python) ----------

// The running product of 1 − β.
function alphaBar(betas) {
  let product = 1;
  return Float64Array.from(betas, (beta) => (product *= 1 - beta));
}

// f(u) = cosᵖ((u + s)/(1 + s) · π/2); p = 2 is the paper's, p = 1 forgets the square.
function cosineAlphaBar(steps, s = 0.008, power = 2) {
  const f = (t) => Math.cos(((t / steps + s) / (1 + s)) * (Math.PI / 2)) ** power;
  const beta = (_, t) => Math.min(1 - f(t + 1) / f(t), 0.999);
  return alphaBar(Float64Array.from({ length: steps }, beta));
}

// x_t = √ᾱ x₀ + √(1 − ᾱ) ε
function qSample(x0, noise, signal) {
  const [a, b] = [Math.sqrt(signal), Math.sqrt(1 - signal)];
  return Float32Array.from(x0, (x, i) => a * x + b * noise[i]);
}

// Signal-to-noise ratio in decibels.
const snrDb = (signal) => 10 * Math.log10(signal / (1 - signal));

export { cosineAlphaBar, decibels, percent, qSample, snrDb };
export default { render };
