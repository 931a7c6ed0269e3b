// A table of shares, widths by noise, at a moment of the training, and the curves of one cell.

const NONE = -1;

function render({ model, el }) {
  const view = widget({ model, el }, "Capacity grid");
  const shape = view.get("shape");
  const values = halves(view.get("data"));
  const named = (name) => view.get(name);
  const [kinds, noises, widths] = [named("kinds"), named("noises"), named("widths")];
  const [moments, tracks] = [named("moments"), named("tracks")];
  const share = (...where) => values[place(shape, where)];
  const state = () => ["kind", "noise", "width", "moment", "track"].map(named);

  const head = noises.map((noise) => make("th", { scope: "col" }, noise));
  const corner = make("th", { scope: "col" }, "width");
  const cells = widths.map((_, width) =>
    noises.map((_, noise) => make("td", { onclick: () => view.set({ width, noise }) })),
  );
  const rows = widths.map((width, i) => make("tr", {}, make("th", { scope: "row" }, width), ...cells[i]));
  const title = make("caption", { class: "mm-title" });
  const table = make(
    "table",
    { class: "mm-capacity" },
    title,
    make("thead", {}, make("tr", {}, corner, ...head)),
    make("tbody", {}, ...rows),
  );
  const own = make("p", { class: "mm-title" });
  const curves = chart((moment) => moment !== view.get("moment") && view.set({ moment }));
  const names = make("ul", { class: "mm-legend" });

  view.draw = () => {
    const [kind, noise, width, moment, track] = state();
    title.textContent = `${tracks[track]}, ${moments[moment]}`;
    const columns = noises.map((_, j) => widths.map((_, i) => share(kind, j, i, moment, track)));
    const tops = columns.map(best);
    cells.forEach((line, i) =>
      line.forEach((cell, j) => {
        const value = columns[j][i];
        cell.textContent = value === NONE ? "–" : percent(value);
        cell.style.setProperty("--mm-share", `${value === NONE ? 0 : (40 * value).toFixed(1)}%`);
        cell.classList.toggle("mm-top", tops[j] === i);
        cell.classList.toggle("mm-chosen", i === width && j === noise);
      }),
    );
    own.textContent = `width ${widths[width]}, ${kinds[kind]} ${noises[noise]}`;
    const series = tracks
      .map((_, style) => ({ style, values: moments.map((_, m) => share(kind, noise, width, m, style)) }))
      .filter((one) => one.values.every((value) => value !== NONE));
    names.replaceChildren(...series.map(({ style }) => make("li", {}, swatch(style), tracks[style])));
    const cell = tracks.map((_, i) => share(kind, noise, width, moment, i));
    const where = `${kinds[kind]} ${noises[noise]}, width ${widths[width]}, ${moments[moment]}`;
    const words = sentence(where, tracks, cell, tracks[track], widths, columns[noise]);
    const marks = moments.map((name) => name.split(" ").pop());
    const range = { low: 0, high: 1, ticks: [0, 0.5, 1], x: "", y: "share" };
    curves.show({ series, at: moment, ...range, marks, text: `Shares over the training. ${words}` });
    view.say(words);
  };

  const listed = (all) => all.map((name, i) => [i, name]);
  const ranged = (trait, label, all) =>
    slider(view, trait, { label, max: all.length - 1, format: (i) => all[i] });
  return view.start(
    ["kind", "noise", "width", "moment", "track"],
    presetButtons(view) ?? "",
    controls(
      choice(view, "kind", { label: "Noise in", options: listed(kinds) }),
      choice(view, "track", { label: "Share of", options: listed(tracks) }),
      ranged("moment", "Moment", moments),
    ),
    controls(ranged("noise", "Noise", noises), ranged("width", "Width", widths)),
    make(
      "div",
      { class: "mm-capacities" },
      scroller("The shares of all widths and noises", table),
      make("figure", {}, own, curves.node, names),
    ),
  );
}

// The number of a value in the data, from its place on each axis.
const place = (shape, where) => where.reduce((sum, index, axis) => sum * shape[axis] + index, 0);

// 0.125 → "13%"; halves go up, as in Python's `percent`.
const percent = (value) => `${Math.floor(100 * value + 0.5)}%`;

// Where the largest share stands, the first of equals; -1 where there is none.
function best(column) {
  const top = Math.max(...column);
  return top === NONE ? -1 : column.indexOf(top);
}

function sentence(where, tracks, shares, track, widths, column) {
  const parts = tracks.flatMap((name, i) => (shares[i] === NONE ? [] : [`${name} ${percent(shares[i])}`]));
  const row = best(column);
  const top = ` Best width here for “${track}”: ${widths[row]} (${percent(column[row])}).`;
  const missing = ` There is nothing to count for “${track}” here.`;
  return `${where}: ${parts.join(", ")}.${row < 0 ? missing : top}`;
}

export { best, percent, place, sentence };
export default { render };
