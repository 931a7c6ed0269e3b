// A matrix as coloured squares: for widgets whose class names it in `_also`.

const short = (text, limit = 14) => (text.length > limit ? `${text.slice(0, limit - 1)}…` : text);
// 0.4213 → ".42", 1 → "1"; a weight that is exactly 0 → "–".
const weight = (w) => (w === 0 ? "–" : w > 0.995 ? "1" : w < 0.005 ? "<.01" : w.toFixed(2).slice(1));

// `move([row, column] or null)` follows pointer and arrow keys alike, `pick(cell)` click and Enter.
// show({rows, columns, values, pinned, cell, text}): names, numbers row by row, outlined row (NaN
// for none); gives where things were drawn.
function heatMap(view, label, { move, pick }) {
  const canvas = make("canvas", { class: "mm-heat", role: "img" });
  const node = scroller(label, canvas);
  let now = null;
  const find = (event) => {
    const { left, top, size, rows, columns } = now;
    const i = Math.floor((event.offsetY - top) / size);
    const j = Math.floor((event.offsetX - left) / size);
    return i >= 0 && i < rows.length && j >= 0 && j < columns.length ? [i, j] : null;
  };
  const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  const press = (event) => {
    const cell = now.cell ?? [now.pinned, 0];
    const step = steps[event.key];
    if (step) {
      const next = [
        clamp(cell[0] + step[0], 0, now.rows.length - 1),
        clamp(cell[1] + step[1], 0, now.columns.length - 1),
      ];
      const x = now.left + next[1] * now.size;
      node.scrollLeft = clamp(node.scrollLeft, x + 2 * now.size - node.clientWidth, x - now.left);
      move(next);
    } else if (event.key === "Enter" || event.key === " ") pick(cell);
    else return;
    event.preventDefault();
  };
  node.addEventListener("keydown", press);
  node.addEventListener("blur", () => move(null));
  node.addEventListener("focus", () => node.matches(":focus-visible") && move([now.pinned, 0]));
  canvas.addEventListener("pointermove", (event) => move(find(event)));
  canvas.addEventListener("pointerleave", () => move(null));
  canvas.addEventListener("click", (event) => find(event) && pick(find(event)));

  function show({ rows, columns, values, pinned, cell, text }) {
    const context = canvas.getContext("2d");
    const font = `12px ${getComputedStyle(view.root).fontFamily}`;
    context.font = font;
    const wide = (names) => Math.max(...names.map((n) => context.measureText(short(n)).width));
    const [left, slant] = [Math.ceil(wide(rows)) + 10, wide(columns)];
    const top = Math.ceil(slant * 0.77) + 18;
    const spill = Math.ceil(slant * 0.64);
    const size = clamp(Math.floor((node.clientWidth - left - spill) / columns.length), 18, 36);
    const [width, height] = [left + size * columns.length + spill, top + size * rows.length + 2];
    now = { left, top, size, rows, columns, pinned, cell };
    const dense = devicePixelRatio || 1;
    [canvas.width, canvas.height] = [width * dense, height * dense];
    Object.assign(canvas.style, { width: `${width}px`, height: `${height}px` });
    context.scale(dense, dense);
    context.font = font;
    const names = ["ink", "muted", "accent", "hot", "paper"];
    const [ink, muted, accent, hot, paper] = names.map(view.color);
    const most = Math.max(...values);
    const name = (words, x, y, angle, on) => {
      context.save();
      context.translate(x, y);
      context.rotate(angle);
      context.font = on ? `bold ${font}` : font;
      context.fillStyle = on ? ink : muted;
      context.fillText(short(words), 0, 0);
      context.restore();
    };
    context.textAlign = "right";
    rows.forEach((n, i) => name(n, left - 6, top + (i + 0.5) * size + 4, 0, i === pinned));
    context.textAlign = "left";
    columns.forEach((n, j) => name(n, left + (j + 0.5) * size + 3, top - 8, -0.87, j === cell?.[1]));
    context.textAlign = "center";
    values.forEach((value, index) => {
      const [i, j] = [Math.floor(index / columns.length), index % columns.length];
      const [x, y, side] = [left + j * size, top + i * size, size - 1];
      if (value === 0) return hatch(context, x, y, side, muted);
      context.globalAlpha = 0.04 + (0.96 * value) / most;
      context.fillStyle = accent;
      context.fillRect(x, y, side, side);
      context.globalAlpha = 1;
      if (size < 30) return;
      context.fillStyle = value / most > 0.5 ? paper : ink;
      context.font = font.replace("12px", "11px");
      context.fillText(weight(value), x + side / 2, y + side / 2 + 4);
    });
    const frame = (x, y, w, h, color) => {
      context.strokeStyle = color;
      context.lineWidth = 2;
      context.strokeRect(x, y, w, h);
    };
    frame(left - 1, top + pinned * size - 1, size * columns.length + 1, size + 1, hot);
    if (cell) frame(left + cell[1] * size, top + cell[0] * size, size - 1, size - 1, ink);
    canvas.setAttribute("aria-label", text);
    return now;
  }
  return { node, show };
}

// Diagonal lines: nothing may flow here.
function hatch(context, x, y, side, color) {
  context.save();
  context.beginPath();
  context.rect(x, y, side, side);
  context.clip();
  context.globalAlpha = 0.45;
  context.strokeStyle = color;
  context.lineWidth = 1;
  context.beginPath();
  for (let d = -side; d < side; d += 6) {
    context.moveTo(x + d, y + side);
    context.lineTo(x + d + side, y);
  }
  context.stroke();
  context.restore();
}
