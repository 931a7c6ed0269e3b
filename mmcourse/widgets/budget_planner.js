// The loss to be expected for a budget of operations, over the size of the model.

const PER_BUDGET = 4; // places of the budget's slider in a decade
const PER_SIZE = 20; // of the size's
const MANTISSAS = ["1.0", "1.8", "3.2", "5.6"];
const UNITS = [
  [1e15, "quadrillion"],
  [1e12, "trillion"],
  [1e9, "billion"],
  [1e6, "million"],
];
const RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹";
const CURVES = ["this budget", "ten times the budget"];

function render({ model, el }) {
  const view = widget({ model, el }, "Budget planner");
  const [names, laws, spans] = [view.get("names"), view.get("laws"), view.get("spans")];
  const units = view.get("units");
  const now = () => {
    const i = view.get("law");
    const operations = 10 ** (spans[i][0] + view.get("budget") / PER_BUDGET);
    return { law: laws[i], span: spans[i], operations, unit: units[i] };
  };
  const sizeAt = (place) => 10 ** (spans[view.get("law")][2] + place / PER_SIZE);
  const lastSize = () => (now().span[3] - now().span[2]) * PER_SIZE;
  const lastBudget = () => (now().span[1] - now().span[0]) * PER_BUDGET;

  const graph = chart((size) => view.set({ size }));
  const keys = legend(CURVES);
  const table = make("table", { class: "mm-numbers" });

  function tabulate(law, operations, chosen, best, unit) {
    const head = ["", "parameters", unit, `${unit} per parameter`, "expected loss"];
    const row = (name, size) => {
      const data = operations / 6 / size;
      const cells = [human(size), human(data), ratio(data / size), loss(law, operations, size).toFixed(3)];
      return make("tr", {}, make("th", { scope: "row" }, name), ...cells.map((words) => make("td", {}, words)));
    };
    const titles = head.map((words) => make(words ? "th" : "td", words ? { scope: "col" } : {}, words));
    const top = make("thead", {}, make("tr", {}, ...titles));
    table.replaceChildren(top, make("tbody", {}, row("chosen", chosen), row("best", best)));
  }

  view.draw = () => {
    const { law, span, operations, unit } = now();
    const [place, budget] = [clamp(view.get("size"), 0, lastSize()), view.get("budget")];
    const [chosen, best] = [sizeAt(place), optimum(law, operations)];
    const places = Array.from({ length: lastSize() + 1 }, (_, i) => i);
    const curve = (factor) => places.map((i) => loss(law, factor * operations, sizeAt(i)));
    const marks = places.map((i) => (i % PER_SIZE ? "" : `10${raised(span[2] + i / PER_SIZE)}`));
    const [low, high, ticks] = scale(law, operations);
    graph.show({
      series: [
        { values: curve(1), style: 0 },
        { values: curve(10), style: 1 },
      ],
      at: place,
      low,
      high,
      ticks,
      marks,
      x: "",
      y: "expected loss, over parameters",
      text:
        `Expected loss over parameters for ${power(span[0], budget)} operations and for ten times ` +
        `as many; marked: ${human(chosen)} parameters. The lowest point of the first curve is at ` +
        `${human(best)} parameters.`,
    });
    tabulate(law, operations, chosen, best, unit);
    view.say(sentence(names[view.get("law")], law, span, budget, place, unit));
  };

  // Another law has other ranges: keep what fits, and begin in the middle otherwise.
  const also = (i) => {
    const [low, high, small, large] = spans[i];
    if (spans[i].join() === now().span.join()) return {};
    return {
      budget: Math.floor(((high - low) * PER_BUDGET) / 2),
      size: Math.floor(((large - small) * PER_SIZE) / 2),
    };
  };
  const toBest = () => {
    const { law, span, operations } = now();
    const place = Math.round((Math.log10(optimum(law, operations)) - span[2]) * PER_SIZE);
    view.set({ size: clamp(place, 0, lastSize()) });
  };
  const budget = slider(view, "budget", {
    label: "Budget, operations",
    max: lastBudget,
    format: (place) => power(now().span[0], place),
  });
  const size = slider(view, "size", {
    label: "Size, parameters",
    max: lastSize,
    format: (place) => human(sizeAt(place)),
  });
  [budget, size].forEach((node) => node.classList.add("mm-wide", "mm-budget"));
  return view.start(
    ["law", "budget", "size"],
    presetButtons(view) ?? "",
    controls(
      choice(view, "law", { label: "Law of", options: names.map((name, i) => [i, name]), also }),
      make("button", { type: "button", class: "mm-button", onclick: toBest }, "Go to the best size"),
    ),
    controls(budget, size),
    make("div", {}, graph.node, keys),
    scroller("The chosen and the best size", table),
  );
}

// E + A / N^α + B / D^β with D = C / 6 N.
const loss = ([floor, a, b, alpha, beta], operations, parameters) =>
  floor + a * parameters ** -alpha + b * (operations / 6 / parameters) ** -beta;

const optimum = ([, a, b, alpha, beta], operations) =>
  (((alpha * a) / (beta * b)) * (operations / 6) ** beta) ** (1 / (alpha + beta));

// Lowest and highest loss of the axis, and where its lines are drawn.
function scale(law, operations) {
  const reach = 3 * (loss(law, operations, optimum(law, operations)) - law[0]);
  const tens = 10 ** Math.floor(Math.log10(reach / 6));
  const step = [1, 2, 2.5, 5, 10].map((times) => times * tens).find((s) => s >= reach / 6);
  const [first, last] = [Math.ceil(law[0] / step), Math.floor((law[0] + reach) / step)];
  const ticks = Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(10)));
  return [law[0] - 0.03 * reach, law[0] + reach, ticks];
}

// 1.75e11 → "175 billion", 3162.3 → "3,162"; as in Python's `human`.
function human(value) {
  for (const [unit, word] of UNITS) {
    const part = value / unit;
    if (part >= 1) return `${part.toFixed(part < 9.995 ? 2 : part < 99.95 ? 1 : 0)} ${word}`;
  }
  return String(Math.floor(value + 0.5)).replace(/\B(?=(\d{3})+$)/g, ",");
}

const ratio = (value) => value.toFixed(value >= 100 ? 0 : value >= 1 ? 1 : 3);
const raised = (exponent) => Array.from(String(exponent), (digit) => RAISED[digit]).join("");

// Quarter decades above 10^lowest: (18, 22) → "3.2 · 10²³".
const power = (lowest, place) =>
  `${MANTISSAS[place % PER_BUDGET]} · 10${raised(lowest + Math.floor(place / PER_BUDGET))}`;

function sentence(name, law, span, budget, place, unit) {
  const operations = 10 ** (span[0] + budget / PER_BUDGET);
  const chosen = 10 ** (span[2] + place / PER_SIZE);
  const best = optimum(law, operations);
  const data = operations / 6 / chosen;
  const there = operations / 6 / best;
  return (
    `${name}, ${power(span[0], budget)} operations: ${human(chosen)} parameters see ${human(data)} ` +
    `${unit}, ${ratio(data / chosen)} for each, expected loss ` +
    `${loss(law, operations, chosen).toFixed(3)}. Best are ${human(best)} parameters and ` +
    `${human(there)} ${unit}, ${ratio(there / best)} for each, loss ` +
    `${loss(law, operations, best).toFixed(3)}.`
  );
}

export { human, loss, optimum, power, ratio, scale, sentence };
export default { render };
