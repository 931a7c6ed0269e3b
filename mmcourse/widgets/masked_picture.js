// A picture with patches removed, the guesses for them, and the truth.

function render({ model, el }) {
  const view = widget({ model, el }, "Masked picture");
  const [pictures, ratios, masks, side] = view.get("shape");
  const shape = view.get("image_shape");
  const size = shape.reduce((a, b) => a * b);
  const cell = shape[2] / side;
  const all = bytes(view.get("data"));
  const shares = view.get("ratios");
  const places = side * side;
  const bitsAt = pictures * size;
  const wide = Math.ceil(places / 8);
  const variants = pictures * ratios * masks;
  const hidden = Array.from({ length: variants }, (_, v) => unpack(all, bitsAt + v * wide, places));
  // Where each variant's guesses begin: only removed patches have any.
  const starts = [bitsAt + variants * wide];
  hidden.forEach((gone, v) => starts.push(starts[v] + removedOf(gone) * cell * cell * shape[0]));

  const parts = ["What the encoder sees", "Removed patches painted", "The true picture"].map((title) => {
    const one = picture(shape);
    return { ...one, title, figure: make("figure", {}, one.node, make("figcaption", {}, title)) };
  });

  view.draw = () => {
    const [at, ratio, mask] = ["picture", "ratio", "mask"].map(view.get);
    const v = (at * ratios + ratio) * masks + mask;
    const image = all.subarray(at * size, (at + 1) * size);
    const gone = hidden[v];
    const painted = paste(image, gone, all.subarray(starts[v], starts[v + 1]), shape, side);
    const name = view.get("names")[at];
    const removed = `${removedOf(gone)} of ${places} patches removed`;
    parts[0].show(checked(image, gone, shape, side), `“${name}” with ${removed}: grey checks stand for them`);
    parts[1].show(painted, `“${name}”, the ${removed} painted by the model, mask ${mask + 1}`);
    parts[2].show(image, `“${name}”, the true picture`);
    view.say(sentence(name, mask, gone, shares[ratio], errors(image, painted, gone, shape, side)));
  };

  const format = (i) => `${Math.round(100 * shares[i])} %`;
  const slide = slider(view, "ratio", { label: "Removed", max: ratios - 1, format });
  slide.classList.add("mm-wide");
  return view.start(
    ["picture", "ratio", "mask", "data"],
    presetButtons(view) ?? "",
    controls(
      choice(view, "picture", { label: "Picture", options: view.get("names").map((text, i) => [i, text]) }),
      choice(view, "mask", { label: "Mask", options: Array.from({ length: masks }, (_, i) => [i, `${i + 1}`]) }),
      slide,
    ),
    make("div", { class: "mm-triple" }, ...parts.map((part) => part.figure)),
  );
}

const removedOf = (gone) => gone.reduce((sum, one) => sum + one, 0);

// Bits, the highest of a byte first → 0 and 1.
const unpack = (all, from, count) =>
  Uint8Array.from({ length: count }, (_, i) => (all[from + (i >> 3)] >> (7 - (i & 7))) & 1);

// Call `each(index of the number, patch, its number within the patch)` for all numbers.
function walk([channels, height, width], side, each) {
  const cell = width / side;
  for (let c = 0; c < channels; c++)
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++) {
        const patch = Math.floor(y / cell) * side + Math.floor(x / cell);
        each((c * height + y) * width + x, patch, (c * cell + (y % cell)) * cell + (x % cell));
      }
}

// The picture with its removed patches as grey checks.
function checked(image, gone, shape, side) {
  const width = shape[2];
  return Uint8Array.from(image, (value, i) => {
    const [x, y] = [i % width, Math.floor(i / width) % shape[1]];
    const patch = Math.floor((y * side) / shape[1]) * side + Math.floor((x * side) / width);
    return gone[patch] ? ((x + y) % 2 ? 168 : 136) : value;
  });
}

// The picture with the guesses in its removed patches; these come patch by patch.
function paste(image, gone, guesses, shape, side) {
  const out = Uint8Array.from(image);
  const numbers = shape[0] * (shape[2] / side) ** 2;
  let before = 0;
  const rank = gone.map((one) => (one ? before++ : 0));
  walk(shape, side, (i, patch, within) => {
    if (gone[patch]) out[i] = guesses[rank[patch] * numbers + within];
  });
  return out;
}

// Squared errors at the removed pixels, in [-1, 1] units: of the guess, of the visible mean.
function errors(image, painted, gone, shape, side) {
  const sums = Array.from({ length: shape[0] }, () => ({ count: 0, off: 0, square: 0, plain: 0, seen: 0, visible: 0 }));
  const area = shape[1] * shape[2];
  walk(shape, side, (i, patch) => {
    const sum = sums[Math.floor(i / area)];
    const x = image[i];
    if (gone[patch]) {
      sum.count += 1;
      sum.off += (x - painted[i]) ** 2;
      sum.square += x * x;
      sum.plain += x;
    } else {
      sum.visible += 1;
      sum.seen += x;
    }
  });
  let [total, byMean] = [0, 0];
  for (const { count, off, square, plain, seen, visible } of sums) {
    const mean = seen / visible;
    total += off;
    byMean += square - 2 * mean * plain + count * mean * mean;
  }
  const scale = 127.5 * 127.5 * sums[0].count * shape[0];
  return [total / scale, byMean / scale];
}

function sentence(name, mask, gone, share, [model, mean]) {
  const side = Math.round(Math.sqrt(gone.length));
  const removed = `${removedOf(gone)} of ${gone.length} patches removed`;
  const asked = `${Math.round(100 * share)} % asked for, ${side} × ${side} patches`;
  return (
    `“${name}”, mask ${mask + 1}: ${removed} (${asked}). Squared error there: ` +
    `${model.toFixed(3)}; with the mean colour of what is visible: ${mean.toFixed(3)}.`
  );
}

export { checked, errors, paste, sentence, unpack };
export default { render };
