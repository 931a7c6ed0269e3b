// A picture as code numbers, the codebook beside it, and a decoder that runs in the page.

function render({ model, el }) {
  const view = widget({ model, el }, "Codebook explorer");
  const [pictures, rows, columns, codes, near] = view.get("shape");
  const shape = view.get("image_shape");
  const [channels, height, width] = shape;
  const places = rows * columns;
  const size = channels * height * width;
  const d = size / places;
  const net = unpack(view.get("data"), { pictures, size, codes, d, places, near, layers: view.get("layers") });
  const side = Math.ceil(Math.sqrt(codes));
  const lines = Math.ceil(codes / side);
  let [overPlace, overCode] = [null, null]; // under the pointer or the arrow keys

  // What each code paints among nothing but itself: the middle of three by three.
  const swatches = Array.from({ length: codes }, (_, k) =>
    middle(toBytes(net.decode(new Array(9).fill(k), 3, 3, channels)), channels, height / rows),
  );
  const base = () => net.near(view.get("picture"));
  const encoded = () => base().codes.filter((_, i) => i % near === 0);
  const swapped = () => {
    const grid = encoded();
    if (view.get("swap") >= 0) grid[view.get("place")] = view.get("swap");
    return grid;
  };
  const kept = new Map();
  const decode = (grid) => {
    const key = grid.join();
    if (!kept.has(key)) kept.set(key, toBytes(net.decode(grid, rows, columns, channels)));
    return kept.get(key);
  };

  const where = (place) => `row ${Math.floor(place / columns) + 1}, column ${(place % columns) + 1}`;
  const hover = (place, code) => {
    if (place === overPlace && code === overCode) return;
    [overPlace, overCode] = [place, code];
    view.redraw();
  };
  const pin = (place) => {
    hover(null, null);
    view.set({ place, swap: -1 });
    view.redraw();
  };
  const put = (code) => {
    hover(null, null);
    view.set({ swap: code === encoded()[view.get("place")] ? -1 : code });
    view.redraw();
  };

  const grid = tiles(rows, columns, "Places: the arrow keys move, Enter pins", {
    at: () => overPlace ?? view.get("place"),
    move: (place) => hover(place, null),
    pick: pin,
  });
  const book = tiles(lines, side, "Codebook: the arrow keys move, Enter puts the code at the place", {
    at: () => overCode ?? swapped()[view.get("place")],
    move: (code) => hover(null, code !== null && code < codes ? code : null),
    pick: (code) => code < codes && put(code),
  });
  const square = [channels, height / rows, width / columns];
  const button = (onclick, ...parts) => make("button", { class: "mm-button", type: "button", onclick }, ...parts);
  const original = picture(shape);
  const restored = picture(shape);
  const figure = (text, part) => make("figure", {}, make("figcaption", {}, text), part);
  const choices = make("div", { class: "mm-nearest", role: "group", "aria-label": "Nearest codes" });
  const buttons = Array.from({ length: near }, (_, i) => {
    const chip = picture(square, true);
    const text = make("span");
    const press = () => put(base().codes[view.get("place") * near + i]);
    const node = button(press, chip.node, text);
    return { node, chip, text };
  });
  choices.append(make("span", { class: "mm-try" }, "Nearest codes, with distance"), ...buttons.map((b) => b.node));

  view.draw = () => {
    const [place, swap] = [overPlace ?? view.get("place"), view.get("swap")];
    const [first, now] = [encoded(), swapped()];
    const code = overCode ?? now[place];
    const before = decode(first);
    const after = decode(now);
    const start = view.get("picture") * size;
    const truth = bytes(view.get("data")).subarray(start, start + size);
    const called = view.get("names")[view.get("picture")];
    const uses = now.filter((k) => k === code).length;
    const times = uses === 1 ? "once" : `${uses} times`;
    original.show(truth, `The original picture “${called}”.`);
    restored.show(after, `Decoded from ${places} code numbers.`);
    grid.paint(after, shape, {
      labels: now,
      lit: now.map((k) => k === code),
      at: overCode === null ? place : -1,
      text: `${rows} by ${columns} code numbers of “${called}”; code ${code} stands ${times} in it.`,
    });
    const seen = new Set(now);
    book.swatches(swatches, square, seen, code);
    book.label(`The codebook of ${codes} codes, ${seen.size} of them used here; code ${code} is lit.`);
    const list = buttons.map((_, i) => ["codes", "apart"].map((part) => base()[part][place * near + i]));
    buttons.forEach(({ node, chip, text }, i) => {
      const [k, distance] = list[i];
      chip.show(swatches[k]);
      text.textContent = `${k} at ${distance.toFixed(2)}`;
      node.setAttribute("aria-pressed", now[place] === k);
    });
    if (overCode !== null) return view.say(`Code ${code} stands ${times} in “${called}”.`);
    const told = `Place (${where(place)}) holds code ${first[place]}`;
    if (place === view.get("place") && swap >= 0) {
      const moved = changed(before, after, shape, rows, columns);
      view.say(
        `${told}. With code ${swap} instead, ${moved} of ${places} places look different, and the ` +
          `error of the picture goes from ${gap(before, truth).toFixed(1)} to ` +
          `${gap(after, truth).toFixed(1)} grey levels.`,
      );
    } else {
      const next = list[1] ? `; the next best, ${list[1][0]}, at ${list[1][1].toFixed(2)}` : "";
      view.say(`${told}, at distance ${list[0][1].toFixed(2)}${next}. The picture uses code ${code} ${times}.`);
    }
  };

  const options = view.get("names").map((text, i) => [i, text]);
  const undo = button(() => view.set({ swap: -1 }), "Put the encoder's code back");
  view.updates.push(() => (undo.disabled = view.get("swap") < 0));
  return view.start(
    ["data", "picture", "place", "swap"],
    presetButtons(view) ?? "",
    controls(choice(view, "picture", { label: "Picture", options, also: () => ({ swap: -1 }) }), undo),
    make(
      "div",
      { class: "mm-codes" },
      figure("Decoded, with its code numbers", grid.node),
      figure("Codebook (faded: not used here)", book.node),
      figure("Original", original.node),
      figure("Decoded", restored.node),
    ),
    choices,
    make("p", { class: "mm-hint" }, "Hover over a place or a code to see where a code is used. Click or tap a place to pin it, then a code to put it there."),
  );
}

// ---------- maths (tests run it under node, against Python) ----------

// A convolution of (channels, rows, columns) with zeros around; weights (out, in, size, size).
function convolve(x, rows, columns, [out, into, size], weights, bias) {
  const area = rows * columns;
  const half = (size - 1) / 2;
  const y = new Float32Array(out * area);
  for (let o = 0; o < out; o++) {
    y.fill(bias[o], o * area, (o + 1) * area);
    for (let c = 0; c < into; c++)
      for (let i = 0; i < size; i++)
        for (let j = 0; j < size; j++) {
          const w = weights[((o * into + c) * size + i) * size + j];
          for (let r = Math.max(0, half - i); r < Math.min(rows, rows + half - i); r++) {
            const from = c * area + (r + i - half) * columns + j - half;
            const to = o * area + r * columns;
            const last = Math.min(columns, columns + half - j);
            for (let s = Math.max(0, half - j); s < last; s++) y[to + s] += w * x[from + s];
          }
        }
  }
  return y;
}

// unfold(z + f(z)): the picture of a grid of vectors (d, rows, columns).
function decodeVectors(z, rows, columns, channels, layers) {
  let x = z;
  layers.forEach(({ shape, weights, bias }, i) => {
    x = convolve(i ? x.map((v) => Math.max(v, 0)) : x, rows, columns, shape, weights, bias);
  });
  return unfold(z.map((v, i) => v + x[i]), rows, columns, channels);
}

// (channels·p², rows, columns) → (channels, rows·p, columns·p)
function unfold(z, rows, columns, channels) {
  const area = rows * columns;
  const p = Math.round(Math.sqrt(z.length / area / channels));
  const image = new Float32Array(z.length);
  for (let i = 0; i < z.length; i++) {
    const [channel, place] = [Math.floor(i / area), i % area];
    const [c, y, x] = [Math.floor(channel / p / p), Math.floor(channel / p) % p, channel % p];
    const [r, s] = [Math.floor(place / columns), place % columns];
    image[(c * rows * p + r * p + y) * columns * p + s * p + x] = z[i];
  }
  return image;
}

// The bytes of the trait, in the order in which Python wrote them.
function unpack(data, { pictures, size, codes, d, places, near, layers }) {
  let at = pictures * size;
  const take = (count) => halves(data, (at += 2 * count) - 2 * count, count);
  const codebook = take(codes * d);
  const each = places * near;
  const whole = Array.from({ length: pictures * each }, (_, i) => data.getUint16(at + 2 * i, true));
  at += 2 * whole.length;
  const apart = take(whole.length);
  const chain = layers.map((shape) => {
    const [out, into, side] = shape;
    const [scale, bias] = [take(out), take(out)];
    const count = into * side * side;
    const weights = Float32Array.from({ length: out * count }, (_, i) => data.getInt8(at + i) * scale[Math.floor(i / count)]);
    at += weights.length;
    return { shape, weights, bias };
  });
  const decode = (grid, rows, columns, channels) => {
    const area = rows * columns;
    const z = Float32Array.from({ length: d * area }, (_, i) => codebook[grid[i % area] * d + Math.floor(i / area)]);
    return decodeVectors(z, rows, columns, channels, chain);
  };
  const part = (values, i) => values.slice(i * each, (i + 1) * each);
  return { decode, near: (i) => ({ codes: part(whole, i), apart: part(apart, i) }) };
}

// The middle square of a picture of three by three squares.
function middle(image, channels, p) {
  const wide = 3 * p;
  return Uint8ClampedArray.from({ length: channels * p * p }, (_, i) => {
    const [c, y, x] = [Math.floor(i / p / p), Math.floor(i / p) % p, i % p];
    return image[(c * wide + p + y) * wide + p + x];
  });
}

// Root of the mean squared difference.
const gap = (a, b) => Math.sqrt(a.reduce((sum, v, i) => sum + (v - b[i]) ** 2, 0) / a.length);

// Places where some pixel differs by more than two grey levels.
function changed(a, b, [channels, height, width], rows, columns) {
  const found = new Set();
  for (let i = 0; i < a.length; i++) {
    if (Math.abs(a[i] - b[i]) <= 2) continue;
    const [y, x] = [Math.floor(i / width) % height, i % width];
    found.add(Math.floor((y * rows) / height) * columns + Math.floor((x * columns) / width));
  }
  return found.size;
}

// ---------- a canvas of tiles that pointer and keyboard walk over ----------

function tiles(rows, columns, label, { at, move, pick }) {
  const canvas = make("canvas", { class: "mm-tiles", role: "img" });
  const node = make("div", { class: "mm-holder", tabindex: 0, role: "group", "aria-label": label }, canvas);
  const find = (event) => cellAt(canvas, event, rows, columns);
  node.addEventListener("pointermove", (event) => event.pointerType !== "touch" && move(find(event)));
  node.addEventListener("pointerleave", () => move(null));
  node.addEventListener("click", (event) => pick(find(event)));
  node.addEventListener("blur", () => move(null));
  node.addEventListener("keydown", (event) => {
    const next = stepCell(at(), event.key, rows, columns);
    if (next !== null) move(next);
    else if (event.key === "Enter" || event.key === " ") pick(at());
    else return;
    event.preventDefault();
  });
  const scale = Math.max(24, Math.round(480 / columns));
  const context = canvas.getContext("2d");
  const corner = (tile) => [(tile % columns) * scale, Math.floor(tile / columns) * scale];
  const frame = (tile, thick) => {
    const [x, y] = corner(tile);
    // On pictures: the same colours in every theme.
    for (const [color, wide] of [["#fff", thick + 3], ["#d55e00", thick]]) {
      context.strokeStyle = color;
      context.lineWidth = wide;
      context.strokeRect(x + 3, y + 3, scale - 6, scale - 6);
    }
  };
  const clear = () => {
    [canvas.width, canvas.height] = [columns * scale, rows * scale];
    context.imageSmoothingEnabled = false;
  };
  const still = (values, shape) => {
    const { node: small, show } = picture(shape);
    show(values);
    return small;
  };
  return {
    node,
    label: (text) => canvas.setAttribute("aria-label", text),
    // A picture with a number in every tile; lit ones framed.
    paint(values, shape, { labels, lit, at: here, text }) {
      clear();
      context.drawImage(still(values, shape), 0, 0, canvas.width, canvas.height);
      context.font = `600 ${Math.round(0.36 * scale)}px system-ui, sans-serif`;
      [context.textAlign, context.textBaseline, context.lineJoin] = ["center", "middle", "round"];
      labels.forEach((number, i) => {
        const [x, y] = corner(i).map((v) => v + scale / 2);
        [context.lineWidth, context.strokeStyle, context.fillStyle] = [4, "#fff", "#101418"];
        context.strokeText(number, x, y + 1);
        context.fillText(number, x, y + 1);
      });
      lit.forEach((on, i) => on && i !== here && frame(i, 3));
      if (here >= 0) frame(here, 7);
      canvas.setAttribute("aria-label", text);
    },
    // Every code's square; those not seen are pale.
    swatches(list, shape, seen, code) {
      clear();
      list.forEach((values, k) => {
        const [x, y] = corner(k);
        context.globalAlpha = seen.has(k) ? 1 : 0.3;
        context.drawImage(still(values, shape), x + 1, y + 1, scale - 2, scale - 2);
      });
      context.globalAlpha = 1;
      frame(code, 4);
    },
  };
}

export { changed, convolve, decodeVectors, gap, middle, stepCell, unfold, unpack };
export default { render };
