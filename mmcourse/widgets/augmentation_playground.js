// Ten panels of one picture, (a) to (j); one of them large; two views by the policy that trains.
// Pictures here are Float32Arrays of 3 planes in [0, 1].

const OPERATORS = [
  "original",
  "crop and resize",
  "crop, resize and flip",
  "colour distortion (drop)",
  "colour distortion (jitter)",
  "rotate",
  "cutout",
  "Gaussian noise",
  "Gaussian blur",
  "Sobel filtering",
];
const LETTERS = "abcdefghij";
const MOST = 10;

function render({ model, el }) {
  const view = widget({ model, el }, "Augmentation playground");
  const [, , side] = view.get("shape");
  const shape = [3, side, side];
  const size = 3 * side * side;
  const all = bytes(view.get("data"));
  const back = (x) => Uint8ClampedArray.from(x, (v) => v * 255);

  const panels = OPERATORS.map((name, i) => {
    const { node, show } = picture(shape, true);
    node.addEventListener("click", () => view.set({ operator: i }));
    const short = make("span", { "aria-hidden": "true" }, `(${LETTERS[i]})`);
    return { show, node, box: make("div", {}, node, short) };
  });
  const sheet = make("div", { class: "mm-panels", role: "img" }, ...panels.map((panel) => panel.box));
  const large = picture(shape);
  const title = make("figcaption");
  const pair = [picture(shape), picture(shape)];
  const words = make("figcaption", {}, "a positive pair: two views by the policy that trains");
  const views = make("div", { class: "mm-pair" }, ...pair.map((one) => one.node));

  view.draw = () => {
    const [operator, draw] = [view.get("operator"), view.get("draw")];
    const t = view.get("strength") / MOST;
    const start = view.get("picture") * size;
    const x = Float32Array.from(all.subarray(start, start + size), (v) => v / 255);
    panels.forEach((panel, i) => {
      panel.show(back(operate(x, side, i, t, random(97 * draw + i))));
      panel.node.classList.toggle("mm-on", i === operator);
    });
    const name = view.get("names")[view.get("picture")];
    sheet.setAttribute("aria-label", `“${name}”, the original and nine operators, (a) to (j)`);
    const told = `(${LETTERS[operator]}) ${OPERATORS[operator]}`;
    large.show(back(operate(x, side, operator, t, random(97 * draw + operator))), `${told}, enlarged`);
    title.textContent = told;
    pair.forEach((one, i) => {
      one.show(back(policy(x, side, t, random(1000 + 2 * draw + i))), `“${name}”, view ${i + 1} of the pair`);
    });
    view.say(sentence(name, operator, view.get("strength"), draw));
  };

  const draws = Array.from({ length: 8 }, (_, i) => [i, `${i + 1}`]);
  return view.start(
    ["data", ...["picture", "operator", "strength", "draw"]],
    presetButtons(view) ?? "",
    controls(
      choice(view, "picture", { label: "Picture", options: view.get("names").map((n, i) => [i, n]) }),
      choice(view, "operator", { label: "Panel", options: OPERATORS.map((n, i) => [i, `(${LETTERS[i]}) ${n}`]) }),
      slider(view, "strength", { label: "Strength", max: MOST }),
      choice(view, "draw", { label: "Random draw", options: draws }),
    ),
    sheet,
    make("div", { class: "mm-split" }, make("figure", {}, large.node, title), make("figure", {}, views, words)),
  );
}

function sentence(name, operator, strength, draw) {
  const used = { 2: "yes", 3: "yes", 4: "yes", 8: "yes, for large pictures" }[operator];
  const text = `“${name}”, panel (${LETTERS[operator]}): ${OPERATORS[operator]}`;
  if (operator === 0) return `${text}. Random draw ${draw + 1}.`;
  const drawn = `, strength ${strength} of ${MOST}, random draw ${draw + 1}.`;
  return `${text}${drawn} Trained with: ${used ?? "no, only studied"}.`;
}

// Uniform random numbers in [0, 1) that depend on the seed alone (mulberry32).
function random(seed) {
  let state = (seed * 2654435761 + 12345) >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

// Operator i at strength t in [0, 1].
function operate(x, side, i, t, next) {
  if (i === 1 || i === 2) return crop(x, side, box(side, 1 - 0.92 * t, next), i === 2 && next() < 0.7);
  if (i === 3) return blend(gray(x), x, 1 - t);
  if (i === 4) return jitter(x, amounts(t, next), order(next));
  if (i === 5) return t ? turn(x, side, 1 + Math.floor(3 * next())) : x;
  if (i === 6) return cutout(x, side, [next(), next()], 0.6 * t);
  if (i === 7) return x.map((v) => clamp(v + 0.25 * t * normal(next), 0, 1));
  if (i === 8) return t ? blur(x, side, 0.1 + 1.9 * t, reach(side)) : x;
  if (i === 9) return blend(sobel(x, side), x, 1 - t);
  return x;
}

// Crop, resize, flip; jitter; drop; blur: each as often as SimCLR does it.
function policy(x, side, t, next) {
  let out = crop(x, side, box(side, 1 - 0.92 * t, next), next() < 0.5);
  if (next() < 0.8) out = jitter(out, amounts(t, next), order(next));
  if (next() < 0.2) out = gray(out);
  return next() < 0.5 && t ? blur(out, side, 0.1 + 1.9 * t * next(), reach(side)) : out;
}

const reach = (side) => Math.max(1, Math.floor(side / 20));
const normal = (next) => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());

function box(side, smallest, next) {
  const area = side * side * (smallest + (1 - smallest) * next());
  const shape = Math.exp(((2 * next() - 1) * Math.log(4 / 3)) / 2);
  const h = clamp(Math.round(Math.sqrt(area) / shape), 1, side);
  const w = clamp(Math.round(Math.sqrt(area) * shape), 1, side);
  return [Math.floor(next() * (side - h + 1)), Math.floor(next() * (side - w + 1)), h, w];
}

function amounts(t, next) {
  const factor = () => 1 + 0.8 * t * (2 * next() - 1);
  return [factor(), factor(), factor(), 0.2 * t * (2 * next() - 1)];
}

function order(next) {
  const list = [0, 1, 2, 3];
  for (let i = 3; i > 0; i--) {
    const j = Math.floor(next() * (i + 1));
    [list[i], list[j]] = [list[j], list[i]];
  }
  return list;
}

// Enlarge the box [top, left, height, width] to the whole, between pixels by straight lines.
function crop(x, side, [top, left, h, w], flip) {
  const area = side * side;
  const line = (start, length) =>
    Array.from({ length: side }, (_, o) => {
      const at = clamp(((o + 0.5) * length) / side - 0.5, 0, length - 1);
      const low = Math.floor(at);
      return [start + low, start + Math.min(low + 1, length - 1), at - low];
    });
  const [rows, columns] = [line(top, h), line(left, w)];
  if (flip) columns.reverse();
  return x.map((_, i) => {
    const [r0, r1, b] = rows[Math.floor((i % area) / side)];
    const [c0, c1, a] = columns[i % side];
    const plane = i - (i % area);
    const at = (r, c) => x[plane + r * side + c];
    return (1 - b) * ((1 - a) * at(r0, c0) + a * at(r0, c1)) + b * ((1 - a) * at(r1, c0) + a * at(r1, c1));
  });
}

function gray(x) {
  const area = x.length / 3;
  return x.map((_, i) => {
    const p = i % area;
    return 0.299 * x[p] + 0.587 * x[area + p] + 0.114 * x[2 * area + p];
  });
}

const blend = (from, to, factor) => to.map((v, i) => clamp(from[i] + factor * (v - from[i]), 0, 1));

function jitter(x, [brightness, contrast, saturation, turns], sequence) {
  const steps = [
    (v) => v.map((one) => clamp(one * brightness, 0, 1)),
    (v) => {
      const luma = gray(v);
      const mean = luma.reduce((sum, one) => sum + one, 0) / luma.length;
      return blend(v.map(() => mean), v, contrast);
    },
    (v) => blend(gray(v), v, saturation),
    (v) => hue(v, turns),
  ];
  return sequence.reduce((v, step) => steps[step](v), x);
}

function hue(x, turns) {
  const area = x.length / 3;
  const out = Float32Array.from(x);
  for (let p = 0; p < area; p++) {
    const rgb = [x[p], x[area + p], x[2 * area + p]];
    const value = Math.max(...rgb);
    const span = value - Math.min(...rgb);
    const c = rgb.indexOf(value);
    const place = 2 * c + (rgb[(c + 1) % 3] - rgb[(c + 2) % 3]) / Math.max(span, 1e-8) + 6 * turns;
    for (let k = 0; k < 3; k++) {
      const share = (place - 2 * k) / 6;
      const far = Math.abs(6 * (share - Math.floor(share)) - 3);
      out[k * area + p] = value - span * clamp(2 - far, 0, 1);
    }
  }
  return out;
}

// Quarters against the clock.
function turn(x, side, quarters) {
  const area = side * side;
  let out = x;
  for (let q = 0; q < quarters; q++) {
    const old = out;
    out = old.map((_, i) => {
      const [r, c] = [Math.floor((i % area) / side), i % side];
      return old[i - (i % area) + c * side + (side - 1 - r)];
    });
  }
  return out;
}

function cutout(x, side, [cy, cx], share) {
  const inside = (i, center) => Math.abs(i + 0.5 - center * side) <= (share * side) / 2;
  const area = side * side;
  return share ? x.map((v, i) => (inside(Math.floor((i % area) / side), cy) && inside(i % side, cx) ? 0.5 : v)) : x;
}

function blur(x, side, sigma, radius) {
  const area = side * side;
  const bell = Array.from({ length: 2 * radius + 1 }, (_, i) => Math.exp(-((i - radius) ** 2) / (2 * sigma * sigma)));
  const total = bell.reduce((a, b) => a + b);
  const mirror = (i) => (i < 0 ? -i : i >= side ? 2 * (side - 1) - i : i);
  const along = (v, get) => v.map((_, i) => bell.reduce((sum, w, k) => sum + (w / total) * v[get(i, k - radius)], 0));
  const rows = along(x, (i, d) => i - (i % side) + mirror((i % side) + d));
  const column = (i, d) => i - (i % area) + mirror(Math.floor((i % area) / side) + d) * side + (i % side);
  return along(rows, column);
}

function sobel(x, side) {
  const [luma, area] = [gray(x), side * side];
  const at = (r, c) => luma[clamp(r, 0, side - 1) * side + clamp(c, 0, side - 1)];
  return x.map((_, i) => {
    const [r, c] = [Math.floor((i % area) / side), i % side];
    const across = (k) => at(r + k, c + 1) - at(r + k, c - 1);
    const down = (k) => at(r + 1, c + k) - at(r - 1, c + k);
    const dx = across(-1) + 2 * across(0) + across(1);
    const dy = down(-1) + 2 * down(0) + down(1);
    return Math.min(Math.hypot(dx, dy) / 4, 1);
  });
}

export { blur, crop, cutout, gray, hue, jitter, operate, policy, random, sentence, sobel, turn };
export default { render };
