// Pictures × captions: the cosines times a scale, and a softmax along rows or down columns.

function render({ model, el }) {
  const view = widget({ model, el }, "Similarity matrix");
  const [count, ...shape] = view.get("shape");
  const size = shape.reduce((a, b) => a * b);
  const all = bytes(view.get("data"));
  const cosines = halves(view.get("cosines"));
  const captions = view.get("captions");
  const scales = view.get("scales");
  const pixels = (i) => all.subarray(i * size, (i + 1) * size);
  let cell = null; // the cell under the pointer or the focus

  const strip = film(count, shape, (pair) => view.set({ pair }));
  strip.node.classList.add("mm-batch");
  const heat = heatMap(view, "Similarity matrix: the arrow keys move, Enter reads this row or column", {
    // Where a column is read, the arrow keys start from the column's own picture.
    move: (next) => ((cell = next && (next[0] >= 0 ? next : [view.get("pair"), view.get("pair")])), view.redraw()),
    pick: (chosen) => view.set({ pair: chosen[view.get("question")] }),
  });
  const large = picture(shape);
  const title = make("p", { class: "mm-title" });
  const tops = make("ol", { class: "mm-top mm-chosen" });
  const side = make("div", {}, make("div", { class: "mm-asked" }, large.node), title, tops);

  view.draw = () => {
    const question = view.get("question");
    const scale = scales[view.get("scale")];
    const values = shares(cosines, count, scale, question);
    const now = cell ? cell[question] : view.get("pair");
    const line = Array.from({ length: count }, (_, k) => values[question ? k * count + now : now * count + k]);
    const name = (k) => (question ? `picture ${k + 1}: ${captions[k]}` : captions[k]);
    const text = `Softmax of ${scale.toFixed(1)} times the cosine, ${ASKED[question]}: ${count} pictures by ${count} captions.`;
    const drawn = heat.show({
      rows: captions.map((_, i) => `picture ${i + 1}`),
      columns: view.get("labels"),
      values: values.map((v) => Math.max(v, 1e-9)), // exactly 0 would be drawn as masked
      pinned: question ? NaN : view.get("pair"),
      cell,
      text,
    });
    if (question) outline(heat.node.firstChild.getContext("2d"), drawn, view.get("pair"), view.color("hot"));
    strip.show(count - 1, now, pixels, `The ${count} pictures of the batch, in order`);
    const best = largest(line, 1)[0][0];
    large.show(pixels(question ? best : now), question ? `First choice: picture ${best + 1}, ${captions[best]}` : `Picture ${now + 1}, ${captions[now]}`);
    title.textContent = question ? `“${captions[now]}”: which picture?` : `Picture ${now + 1}: which caption?`;
    tops.replaceChildren(
      ...largest(line, 5).map(([k, share]) => {
        const right = k === now;
        const cosine = cosines[question ? k * count + now : now * count + k];
        return make(
          "li",
          { class: right ? "mm-right" : "" },
          make("span", {}, `${right ? "✓ " : ""}${name(k)}`),
          make("span", { class: "mm-bar" }, make("i", { style: `width:${Math.max(100 * share, 1)}%` })),
          make("b", {}, share.toFixed(2)),
          make("small", {}, `cosine ${fixed(cosine)}`),
        );
      }),
    );
    view.say(sentence(cosines, captions, scale, question, view.get("pair")));
  };

  const temperature = (i) => `τ = ${(1 / scales[i]).toFixed(2)} (× ${plain(scales[i])})`;
  const slide = slider(view, "scale", { label: "Temperature", max: scales.length - 1, format: temperature });
  slide.classList.add("mm-wide");
  const pairs = captions.map((text, i) => [i, `${i + 1}: ${text}`]);
  const questions = ["each picture asks (softmax along rows)", "each caption asks (softmax down columns)"];
  return view.start(
    ["question", "scale", "pair", "data", "cosines"],
    presetButtons(view) ?? "",
    controls(
      choice(view, "question", { label: "Question", options: questions.map((text, i) => [i, text]) }),
      choice(view, "pair", { label: "Pair", options: pairs }),
      slide,
    ),
    strip.node,
    make("div", { class: "mm-split" }, heat.node, side),
  );
}

// A frame around a column.
function outline(context, { left, top, size, rows }, column, color) {
  context.strokeStyle = color;
  context.lineWidth = 2;
  context.strokeRect(left + column * size - 1, top - 1, size + 1, size * rows.length + 1);
}

const ASKED = ["image → text", "text → image"];
const plain = (value) => String(Number(value.toFixed(1)));

// softmax(scale · cosines) of an n × n matrix, row by row (question 0) or column by column (1).
function shares(cosines, n, scale, question) {
  const found = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    const place = (k) => (question ? k * n + i : i * n + k);
    const line = Array.from({ length: n }, (_, k) => scale * cosines[place(k)]);
    softmax(line).forEach((share, k) => (found[place(k)] = share));
  }
  return found;
}

// The mean surprise −log p(partner), in nats.
function loss(cosines, n, scale, question) {
  const found = shares(cosines, n, scale, question);
  let sum = 0;
  for (let i = 0; i < n; i++) sum -= Math.log(found[i * n + i]);
  return sum / n;
}

function sentence(cosines, captions, scale, question, pair) {
  const n = captions.length;
  const found = shares(cosines, n, scale, question);
  const line = Array.from({ length: n }, (_, k) => found[question ? k * n + pair : pair * n + k]);
  const [[best, share]] = largest(line, 1);
  const right = best === pair ? "the right one" : `${captions[best]}, not the right one`;
  const losses = [0, 1].map((q) => loss(cosines, n, scale, q));
  const told = losses.map((value, q) => `${ASKED[q]} ${value.toFixed(2)}`).join(", ");
  const mean = ((losses[0] + losses[1]) / 2).toFixed(2);
  const who = question ? "Caption" : "Picture";
  const first = `${who} ${pair + 1} (${captions[pair]}) at scale ${plain(scale)}`;
  const last = `who knows nothing has log ${n} = ${Math.log(n).toFixed(2)}`;
  return `${first}: its first choice, with ${share.toFixed(2)}, is ${right}. Loss ${told}, mean ${mean}; ${last}.`;
}

export { loss, plain, sentence, shares };
export default { render };
