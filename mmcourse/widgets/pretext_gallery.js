// Turn a picture or shuffle its tiles, and see what a network guesses.

function render({ model, el }) {
  const view = widget({ model, el }, "Pretext gallery");
  const [pictures, ...shape] = view.get("shape");
  const size = shape.reduce((a, b) => a * b);
  const pixels = bytes(view.get("data"));
  const shares = halves(view.get("guesses"));
  const orders = view.get("orders");
  const margin = view.get("margin");
  const names = view.get("names");
  const grid = Math.round(Math.sqrt(orders[0].length));
  const framed = grid * (shape[1] / grid - margin + 2);
  const words = [TURNS, orders.map((_, i) => `order ${i + 1}`)];
  const row = (task, item, place) => {
    const count = words[task].length;
    const start = (task ? 16 * pictures : 0) + (item * count + place) * count;
    return shares.subarray(start, start + count);
  };

  const panel = () => {
    const one = picture(shape);
    const many = picture([shape[0], framed, framed]);
    const caption = make("figcaption");
    const show = (task, values, text, note) => {
      one.node.hidden = task === 1;
      many.node.hidden = task === 0;
      (task ? many : one).show(values, text);
      caption.textContent = note;
    };
    return { node: make("figure", {}, one.node, many.node, caption), show };
  };
  const [asked, mended] = [panel(), panel()];
  const title = make("p", { class: "mm-title" });
  const bars = make("ol", { class: "mm-answers" });

  view.draw = () => {
    const [task, item] = [view.get("task"), view.get("picture")];
    const truth = view.get(task ? "order" : "turn");
    const guesses = row(task, item, truth);
    const [[best]] = largest(guesses, 1);
    const image = pixels.subarray(item * size, (item + 1) * size);
    const said = sentence(names[item], task, truth, best, guesses[best], words[task]);
    if (task === 0) {
      asked.show(0, turned(image, shape, truth), `${names[item]}, ${TURNS[truth]}`, "the question");
      mended.show(0, turned(image, shape, truth - best), `turned back by the guess`, "turned back as guessed");
    } else {
      const tiles = cut(image, shape, grid, margin);
      const laid = orders[truth].map((tile) => tiles[tile]);
      const back = [];
      orders[best].forEach((place, i) => (back[place] = laid[i]));
      asked.show(1, joined(laid, grid, shape[0]), `tiles of ${names[item]} in order ${truth + 1}`, "the question");
      mended.show(1, joined(back, grid, shape[0]), `tiles laid back by the guess`, "laid back as guessed");
    }
    title.textContent = task ? "Which order? The network's likeliest" : "Which turn? The network's answer";
    const list = task ? largest(guesses, 5) : Array.from(guesses, (p, i) => [i, p]);
    bars.replaceChildren(...list.map(([i, p]) => answer(words[task][i], p, i === truth)));
    view.say(said);
  };

  const tasks = [[0, "How is it turned?"], [1, "How are its tiles shuffled?"]];
  const turn = slider(view, "turn", { label: "Turn", max: 3, format: (k) => `${90 * k}°` });
  const order = slider(view, "order", { label: "Order", max: orders.length - 1, format: (i) => `${i + 1}` });
  view.updates.push(() => {
    turn.hidden = view.get("task") === 1;
    order.hidden = view.get("task") === 0 || orders.length < 2;
  });
  turn.classList.add("mm-wide");
  order.classList.add("mm-wide");
  return view.start(
    ["task", "picture", "turn", "order", "data"],
    presetButtons(view) ?? "",
    controls(
      choice(view, "task", { label: "Task", options: tasks }),
      choice(view, "picture", { label: "Picture", options: names.map((name, i) => [i, name]) }),
      turn,
      order,
    ),
    make("div", { class: "mm-pretext" }, asked.node, mended.node, make("div", {}, title, bars)),
  );
}

const TURNS = ["upright", "turned by 90°", "turned by 180°", "turned by 270°"];

// Quarter turns counter-clockwise of a square picture (channels, side, side).
function turned(image, [channels, side], turns) {
  const out = new Uint8Array(image.length);
  const k = ((turns % 4) + 4) % 4;
  for (let c = 0; c < channels; c++)
    for (let i = 0; i < side; i++)
      for (let j = 0; j < side; j++) {
        const last = side - 1;
        const [y, x] = [[i, j], [j, last - i], [last - i, last - j], [last - j, i]][k];
        out[(c * side + i) * side + j] = image[(c * side + y) * side + x];
      }
  return out;
}

// The tiles of a picture, row by row, each without half the margin at every side.
function cut(image, [channels, side], grid, margin) {
  const small = side / grid;
  const [off, width] = [margin / 2, small - margin];
  return Array.from({ length: grid * grid }, (_, tile) => {
    const [top, left] = [Math.floor(tile / grid) * small + off, (tile % grid) * small + off];
    const out = new Uint8Array(channels * width * width);
    for (let c = 0; c < channels; c++)
      for (let i = 0; i < width; i++)
        for (let j = 0; j < width; j++)
          out[(c * width + i) * width + j] = image[(c * side + top + i) * side + left + j];
    return out;
  });
}

// Tiles side by side, with a grey line around each.
function joined(tiles, grid, channels) {
  const width = Math.round(Math.sqrt(tiles[0].length / channels));
  const side = grid * (width + 2);
  const out = new Uint8Array(channels * side * side).fill(178);
  tiles.forEach((tile, place) => {
    const [top, left] = [Math.floor(place / grid) * (width + 2) + 1, (place % grid) * (width + 2) + 1];
    for (let c = 0; c < channels; c++)
      for (let i = 0; i < width; i++)
        for (let j = 0; j < width; j++)
          out[(c * side + top + i) * side + left + j] = tile[(c * width + i) * width + j];
  });
  return out;
}

const percent = (share) => `${tenth(100 * share)} %`;

function sentence(name, task, truth, best, share, words) {
  const done = task ? `its tiles in ${words[truth]}` : words[truth];
  const verdict = best === truth ? "Right." : "Wrong.";
  return `“${name}”, ${done}. The network says ${words[best]}, ${percent(share)}. ${verdict}`;
}

// One bar; the right answer carries a tick and another colour.
function answer(word, p, right) {
  const tick = right ? make("span", { class: "mm-tick" }, "✓ ") : null;
  const share = make("span", { class: "mm-answered" }, make("i", { style: `width:${Math.max(100 * p, 0.5)}%` }));
  return make("li", { class: right ? "mm-right" : "" }, make("span", {}, tick, word), share, make("b", {}, percent(p)));
}

export { cut, joined, percent, sentence, turned };
export default { render };
