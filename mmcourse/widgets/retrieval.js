// A text ranks a collection of pictures: cosines of vectors that the page carries as bytes.

const SHOWN = 8;
const COLUMNS = 16; // pictures side by side in the file

async function render({ model, el }) {
  const view = widget({ model, el }, "Retrieval");
  const [count, size, height, width] = view.get("shape");
  const [names, queries, languages] = [view.get("names"), view.get("queries"), view.get("languages")];
  const data = bytes(view.get("data"));
  const spoken = languages.length;
  const vectors = new Int8Array(data.buffer, data.byteOffset, size * (count + queries.length * spoken));
  const file = new Blob([data.subarray(vectors.length)], { type: "image/webp" });
  const all = await createImageBitmap(file);

  const places = Array.from({ length: SHOWN }, () => {
    const canvas = make("canvas", { class: "mm-pixels", width, height, role: "img" });
    const bar = make("span", { class: "mm-near" });
    const [rank, name, value] = [make("b"), make("span"), make("span", { class: "mm-value" })];
    const caption = make("figcaption", {}, rank, name, value);
    const node = make("figure", {}, canvas, make("div", { "aria-hidden": "true" }, bar), caption);
    return { canvas, bar, rank, name, value, node };
  });

  view.draw = () => {
    const [query, language] = [view.get("query"), view.get("language")];
    const asked = vectors.subarray(size * (count + query * spoken + language)).subarray(0, size);
    const scores = cosines(vectors.subarray(0, size * count), asked);
    const order = ranked(scores);
    const target = view.get("targets")[query];
    places.forEach(({ canvas, bar, rank, name, value, node }, i) => {
      const place = order[i];
      const [x, y] = [(place % COLUMNS) * width, Math.floor(place / COLUMNS) * height];
      canvas.getContext("2d").drawImage(all, x, y, width, height, 0, 0, width, height);
      const right = place === target;
      canvas.setAttribute("aria-label", `rank ${i + 1}: ${names[place]}${right ? ", the right one" : ""}`);
      rank.textContent = `${i + 1}${right ? " ✓" : ""}`;
      name.textContent = names[place];
      value.textContent = `cosine ${fixed(scores[place])}`;
      bar.style.width = `${100 * clamp(scores[place], 0, 1)}%`;
      node.classList.toggle("mm-right", right);
    });
    view.say(sentence(queries[query][language], order, names, target));
  };

  const options = () => queries.map((texts, i) => [i, texts[view.get("language")]]);
  return view.start(
    ["query", "language"],
    presetButtons(view) ?? "",
    controls(
      choice(view, "language", { label: "Language", options: languages.map((name, i) => [i, name]) }),
      choice(view, "query", { label: "Text", options }),
    ),
    make("div", { class: "mm-found" }, ...places.map(({ node }) => node)),
  );
}

// Cosine of each row of bytes with the one asked; a unit vector has 127 for 1.
function cosines(rows, asked) {
  const size = asked.length;
  return Float64Array.from({ length: rows.length / size }, (_, i) => {
    let sum = 0;
    for (let j = 0; j < size; j++) sum += rows[i * size + j] * asked[j];
    return sum / 127 ** 2;
  });
}

// Places by falling score; of equals the earlier.
const ranked = (scores) =>
  Array.from(scores, (_, place) => place).sort((a, b) => scores[b] - scores[a] || a - b);

function sentence(text, order, names, target) {
  const first = order.slice(0, 3).map((place) => names[place]);
  const said = `“${text}” finds first: ${first.join(", ")}.`;
  if (target < 0) return said;
  return `${said} The right picture has rank ${order.indexOf(target) + 1} of ${order.length}.`;
}

export { cosines, ranked, sentence };
export default { render };
