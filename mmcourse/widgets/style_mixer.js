// Which band of styles comes from which picture, with the mixture enlarged; below, the fade-in.

const BANDS = ["coarse", "middle", "fine"];

function render({ model, el }) {
  const view = widget({ model, el }, "Style mixer");
  const [count, ...shape] = view.get("shape");
  const [moments, number, ...small] = view.get("fades");
  const large = [small[0], 2 * small[1], 2 * small[2]];
  const size = (dimensions) => dimensions.reduce((a, b) => a * b);
  const data = bytes(view.get("data"));
  const cut = (from, index, length) => data.subarray(from + index * length, from + (index + 1) * length);
  const starts = [0, count ** 3 * size(shape)];
  starts.push(starts[1] + moments * number * size(small));
  const [names, whens, seen] = [view.get("names"), view.get("moments"), view.get("seen")];
  const mixture = (i, j, k) => cut(0, place(i, j, k, count), size(shape));

  // ---- mix ----
  const rows = BANDS.map((band) => {
    const row = film(count, shape, (source) => view.set({ [band]: source }));
    return { ...row, name: make("span", { "aria-hidden": "true" }, band) };
  });
  const heads = names.map((name) => make("span", {}, name));
  const table = make(
    "div",
    { class: "mm-bands" },
    make("span", { "aria-hidden": "true" }, "from"),
    make("div", { class: "mm-sources", "aria-hidden": "true" }, ...heads),
    ...rows.flatMap((row) => [row.name, row.node]),
  );
  const mixed = picture(shape);
  const told = make("figcaption");
  const figure = make("figure", { class: "mm-mixed" }, mixed.node, told);

  // ---- fade ----
  const strip = (index) => cut(starts[1], index, size(small));
  const fresh = (index) => cut(starts[2], index, size(large));
  const films = ["old, doubled", "shown", "new"].map((name) => {
    const row = film(number, large, () => {});
    return { ...row, name: make("span", { "aria-hidden": "true" }, name) };
  });
  const fade = make(
    "div",
    { class: "mm-bands mm-fade" },
    ...films.flatMap((row) => [row.name, row.node]),
  );

  view.draw = () => {
    const chosen = BANDS.map((band) => view.get(band));
    const [i, j, k] = chosen;
    rows.forEach((row, r) => {
      const text = `sources ${names.join(", ")}; ${BANDS[r]} styles from ${names[chosen[r]]}`;
      row.show(count - 1, chosen[r], (source) => mixture(source, source, source), text);
    });
    const letters = chosen.map((source) => names[source]).join(" · ");
    mixed.show(mixture(i, j, k), `the mixture ${letters}, enlarged`);
    told.textContent = `${letters}${seen.length ? `: ${seen[place(i, j, k, count)]}` : ""}`;
    const [moment, share] = [view.get("moment"), view.get("alpha") / 10];
    films.forEach((row, r) => {
      const weight = [0, share, 1][r];
      const one = (at) => {
        const index = moment * number + at;
        return faded(strip(index), fresh(index), large, weight);
      };
      const text = ["the old size, doubled", `faded, α = ${share.toFixed(1)}`, "the new size"][r];
      row.show(number - 1, -1e9, one, `${number} pictures, ${whens[moment]}: ${text}`);
    });
    view.say(sentence(chosen, names, seen, whens[moment], share));
  };

  const list = names.map((name, i) => [i, name]);
  const pick = (band) => {
    const label = `${band[0].toUpperCase()}${band.slice(1)} from`;
    return choice(view, band, { label, options: list });
  };
  const slide = slider(view, "alpha", { label: "α", max: 10, format: (a) => (a / 10).toFixed(1) });
  slide.classList.add("mm-wide");
  const when = { label: "When", options: whens.map((name, i) => [i, name]) };
  const title = (words) => make("p", { class: "mm-title" }, words);
  return view.start(
    [...BANDS, "moment", "alpha"],
    presetButtons(view) ?? "",
    title("Mix: whose styles in which layers?"),
    controls(...BANDS.map(pick)),
    make("div", { class: "mm-split" }, table, figure),
    title("Fade: from the old size to the new"),
    controls(choice(view, "moment", when), slide),
    fade,
  );
}

// Where the mixture of three sources stands in the list of all.
const place = (coarse, middle, fine, count) => (coarse * count + middle) * count + fine;

// (1 − α) · old, every pixel as four + α · new
function faded(old, fresh, [channels, height, width], alpha) {
  const [rows, columns] = [height / 2, width / 2];
  return Uint8ClampedArray.from(fresh, (value, i) => {
    const [c, y, x] = [Math.floor(i / (height * width)), Math.floor(i / width) % height, i % width];
    const under = old[(c * rows + (y >> 1)) * columns + (x >> 1)];
    return (1 - alpha) * under + alpha * value;
  });
}

function sentence(chosen, names, seen, when, share) {
  const parts = BANDS.map((band, b) => `${band} from ${names[chosen[b]]}`);
  const shows = seen.length ? `; the picture shows ${seen[place(...chosen, names.length)]}` : "";
  return (
    `Styles: ${parts.join(", ")}${shows}. Fade, ${when}: α = ${share.toFixed(1)}, that is ` +
    `${(1 - share).toFixed(1)} of the old and ${share.toFixed(1)} of the new.`
  );
}

export { faded, place, sentence };
export default { render };
