// A picture that is written code by code (or pixel by pixel), with what might have come next.

function render({ model, el }) {
  const view = widget({ model, el }, "Token scrubber");
  const [samples, rows, columns, codes, near] = view.get("shape");
  const places = rows * columns;
  const shape = view.get("image_shape");
  const tile = view.get("swatch_shape");
  const titles = view.get("titles");
  const [thing, value] = view.get("nouns");
  const ordered = view.get("ordered");
  const data = unpack(view.get("data"), { samples, places, codes, near, shape, tile });
  const now = () => clamp(view.get("written"), 0, places);
  const go = (written) => view.set({ written });

  const seen = picture(shape);
  const grid = board(rows, columns, tile, codes, (place) => go(place));
  const list = make("ol", { class: ordered ? "mm-likely mm-all" : "mm-likely" });
  const title = make("p", { class: "mm-title" });
  const bars = Array.from({ length: near + 1 }, () => likelyRow(tile));
  list.append(...bars.map((bar) => bar.node));
  const graph = chart(go);

  const button = player(view, { now, go, last: places, pace: 12000 / places });

  view.draw = () => {
    const [sample, written] = [view.get("sample"), now()];
    const one = data.sample(sample);
    const next = Math.min(written, places - 1);
    seen.show(one.frame(written), `The picture after ${written} of ${places} ${thing}s`);
    grid.show(one.codes, written, data.swatch, `${written} of ${places} ${value} numbers of ${titles[sample]}`);
    const likely = one.likely(next);
    const when = written < places ? "next" : "last";
    title.textContent = ordered ? `Chances of the ${when} ${thing}` : `Likeliest ${when} ${value}s`;
    const drawn = one.codes[next];
    const listed = likely.some(([k]) => k === drawn);
    const shown = listed ? likely : [...likely, [drawn, one.own[next]]];
    bars.forEach((bar, i) => bar.show(shown[i], drawn, data.swatch));
    const bits = one.bits;
    const high = Math.max(4, Math.ceil(Math.max(...bits)));
    const text = `Surprise of each of ${places} ${thing}s in bits; marked: ${thing} ${next + 1}, ${tenth(bits[next])} bits`;
    graph.show({
      series: [{ values: bits, style: 0 }],
      at: next,
      low: 0,
      high,
      ticks: [0, high / 2, high],
      x: `${thing}s written before`,
      y: `surprise of the next ${thing}, bits`,
      text,
      height: 180,
    });
    view.say(sentence(titles[sample], written, columns, one.codes, one.own, likely, thing, value));
  };

  const format = (written) => `${written} of ${places}`;
  const slide = slider(view, "written", { label: `${thing[0].toUpperCase()}${thing.slice(1)}s written`, max: places, format });
  slide.classList.add("mm-wide");
  const figure = (text, part) => make("figure", {}, make("figcaption", {}, text), part);
  return view.start(
    ["sample", "written", "data"],
    presetButtons(view) ?? "",
    controls(choice(view, "sample", { label: "Picture", options: titles.map((name, i) => [i, name]) })),
    controls(button, slide),
    make(
      "div",
      { class: ordered ? "mm-writing mm-longer" : "mm-writing" },
      figure("The picture so far", seen.node),
      figure(`Its ${value}s so far`, grid.node),
      make("div", { class: "mm-nexts" }, title, list),
    ),
    make("div", {}, graph.node),
  );
}

// ---------- numbers (tests run them under node, against Python) ----------

function sentence(title, written, columns, codes, own, likely, thing, value) {
  const places = codes.length;
  const bits = Array.from(own, (p) => -Math.log2(p));
  if (written === places)
    return `${title}: all ${places} ${thing}s are written, ${tenth(bits.reduce((a, b) => a + b, 0))} bits in all.`;
  const where = `row ${Math.floor(written / columns) + 1}, column ${(written % columns) + 1}`;
  const code = codes[written];
  const [first, best] = likely.reduce((a, b) => (b[1] > a[1] ? b : a));
  const told = `${title}: ${written} of ${places} ${thing}s written. Next, in ${where}: ${value} ${code}, which had ${tenth(100 * own[written])} % (${tenth(bits[written])} bits)`;
  return first === code ? `${told}, the likeliest.` : `${told}; the likeliest, ${first}, had ${tenth(100 * best)} %.`;
}

// The bytes of the trait, in the order in which Python wrote them.
function unpack(view, { samples, places, codes, near, shape, tile }) {
  const [channels, height, width] = shape;
  const area = height * width;
  const size = tile.reduce((a, b) => a * b);
  const all = bytes(view);
  const palette = all.subarray(0, 256 * channels);
  let at = 256 * channels;
  const skip = (count) => (at += count) - count;
  const frames = skip(samples * (places + 1) * area);
  const swatches = skip(codes * size);
  const whole = (count) => {
    const from = skip(2 * count);
    return Array.from({ length: count }, (_, i) => view.getUint16(from + 2 * i, true));
  };
  const drawn = whole(samples * places);
  const order = whole(samples * places * near);
  const own = halves(view, skip(2 * samples * places), samples * places);
  const best = halves(view, skip(2 * samples * places * near), samples * places * near);
  const sample = (s) => {
    const part = (values) => values.slice(s * places, (s + 1) * places);
    const frame = (written) => {
      const from = frames + (s * (places + 1) + written) * area;
      const values = new Uint8ClampedArray(channels * area);
      for (let i = 0; i < area; i++)
        for (let c = 0; c < channels; c++) values[c * area + i] = palette[channels * all[from + i] + c];
      return values;
    };
    const likely = (place) =>
      Array.from({ length: near }, (_, i) => {
        const j = (s * places + place) * near + i;
        return [order[j], best[j]];
      });
    const mine = part(own);
    return { frame, likely, codes: part(drawn), own: mine, bits: Array.from(mine, (p) => -Math.log2(p)) };
  };
  return { sample, swatch: (k) => all.subarray(swatches + k * size, swatches + (k + 1) * size) };
}

// ---------- parts ----------

// One bar: what the code paints, its number, its share; the drawn one carries a tick.
function likelyRow(tile) {
  const chip = picture(tile, true);
  const number = make("span", { class: "mm-code" });
  const bar = make("i");
  const share = make("b");
  const node = make("li", {}, chip.node, number, make("span", { class: "mm-chance" }, bar), share);
  const show = (entry, drawn, swatch) => {
    node.hidden = !entry;
    if (!entry) return;
    const [k, p] = entry;
    chip.show(swatch(k));
    number.textContent = k === drawn ? `✓ ${k}` : String(k);
    node.classList.toggle("mm-drawn", k === drawn);
    bar.style.width = `${Math.max(100 * p, 0.5)}%`;
    share.textContent = p < 0.0005 ? "< 0.1 %" : `${tenth(100 * p)} %`;
  };
  return { node, show };
}

// The grid of numbers; a click goes to a place. Colours are those of the codes, in every theme.
function board(rows, columns, tile, count, pick) {
  const canvas = make("canvas", { class: "mm-board", role: "img" });
  const scale = Math.max(24, Math.round(480 / columns));
  [canvas.width, canvas.height] = [columns * scale, rows * scale];
  const context = canvas.getContext("2d");
  const letter = count > 100 ? 0.36 : 0.56; // of a tile: the fewer digits, the larger
  canvas.addEventListener("click", (event) => pick(cellAt(canvas, event, rows, columns)));
  const small = picture(tile, true);
  const show = (codes, written, swatch, text) => {
    canvas.setAttribute("aria-label", text);
    context.imageSmoothingEnabled = false;
    context.font = `600 ${Math.round(letter * scale)}px system-ui, sans-serif`;
    [context.textAlign, context.textBaseline, context.lineJoin] = ["center", "middle", "round"];
    codes.forEach((code, i) => {
      const [x, y] = [(i % columns) * scale, Math.floor(i / columns) * scale];
      context.fillStyle = "#c9ced4";
      context.fillRect(x, y, scale, scale);
      if (i < written) {
        small.show(swatch(code));
        context.drawImage(small.node, x, y, scale, scale);
        [context.lineWidth, context.strokeStyle, context.fillStyle] = [4, "#fff", "#101418"];
        context.strokeText(code, x + scale / 2, y + scale / 2 + 1);
        context.fillText(code, x + scale / 2, y + scale / 2 + 1);
      }
      [context.lineWidth, context.strokeStyle] = [1, "#9aa3ad"];
      context.strokeRect(x + 0.5, y + 0.5, scale - 1, scale - 1);
    });
    if (written >= codes.length) return;
    const [x, y] = [(written % columns) * scale, Math.floor(written / columns) * scale];
    for (const [color, wide] of [["#fff", 9], ["#d55e00", 6]]) {
      [context.strokeStyle, context.lineWidth] = [color, wide];
      context.strokeRect(x + 4, y + 4, scale - 8, scale - 8);
    }
  };
  return { node: canvas, show };
}

export { sentence, unpack };
export default { render };
