// Frames of a process, wound back and forth: pictures out of noise, one track beside another.

function render({ model, el }) {
  const view = widget({ model, el }, "Denoising scrubber");
  const [tracks, frames, count, ...shape] = view.get("shape");
  const [, height, width] = shape;
  const size = shape.reduce((a, b) => a * b);
  const last = frames - 1;
  const pixels = bytes(view.get("data"));
  const at = (track, frame, sample) => {
    const start = ((track * frames + frame) * count + sample) * size;
    return pixels.subarray(start, start + size);
  };
  const name = (track) => view.get("tracks")[track];
  const label = (track, frame) => view.get("labels")[track][frame];
  const now = () => clamp(view.get("frame"), 0, last);
  const go = (frame) => view.set({ frame });

  // The samples of one track in a grid, one canvas at the pictures' own resolution.
  const across = columns(count);
  const down = Math.ceil(count / across);
  const gap = count > 1 ? Math.max(1, Math.round(width / 16)) : 0;
  const grids = Array.from({ length: tracks }, (_, track) => {
    const canvas = make("canvas", {
      class: "mm-pixels mm-bare",
      role: "img",
      width: across * (width + gap) - gap,
      height: down * (height + gap) - gap,
    });
    const caption = make("figcaption", {}, make("b", {}, name(track)), make("span"));
    return { canvas, caption, figure: make("figure", {}, canvas, caption) };
  });
  const strips = grids.map(() => film(Math.min(frames, 9), shape, go));

  const button = player(view, { now, go, last, pace: 5000 / frames });

  const curves = view.get("curves");
  const graph = chart(go);
  const plot = make("div", { hidden: !curves.length }, graph.node);
  if (curves.length > 1) plot.append(legend(curves.map((curve) => curve.name)));

  function trace(frame) {
    const values = curves.flatMap((curve) => curve.values);
    const [low, high] = span(Math.min(...values), Math.max(...values));
    const ticks = [low, (low + high) / 2, high].map((v) => Number(v.toPrecision(3)));
    const names = curves.map((curve) => curve.name).join(", ");
    const said = curves.map((curve) => `${curve.name} ${curve.values[frame].toPrecision(3)}`);
    const series = curves.map((curve, style) => ({ ...curve, style }));
    const text = `${names} over the frames; at frame ${frame}: ${said.join(", ")}.`;
    const y = curves.length > 1 ? "" : names;
    graph.show({ series, at: frame, low, high, ticks, x: "frame", y, text, height: 170 });
    return said;
  }

  view.draw = () => {
    const frame = now();
    grids.forEach(({ canvas, caption }, track) => {
      const context = canvas.getContext("2d");
      for (let i = 0; i < count; i++) {
        const [x, y] = [(i % across) * (width + gap), Math.floor(i / across) * (height + gap)];
        paint(context, at(track, frame, i), shape, x, y);
      }
      const words = `${name(track)}, ${label(track, frame)}`;
      canvas.setAttribute("aria-label", `${words}: ${count} pictures`);
      caption.lastChild.textContent = label(track, frame);
      const text = `The first picture of ${name(track)} from the first frame to the last`;
      strips[track].show(last, frame, (f) => at(track, f, 0), text);
    });
    const said = curves.length ? trace(frame) : [];
    const shown = grids.map((_, track) => `${name(track)}, ${label(track, frame)}`);
    const more = said.length ? `; ${said.join(", ")}` : "";
    view.say(`Frame ${frame + 1} of ${frames}: ${shown.join("; ")}${more}.`);
  };

  const format = (frame) => `${frame + 1} of ${frames}`;
  const frame = slider(view, "frame", { label: "Frame", max: last, format });
  frame.classList.add("mm-wide");
  const rows = strips.map((strip, track) =>
    make("div", { class: "mm-row-of-film" }, make("span", { "aria-hidden": "true" }, name(track)), strip.node),
  );
  return view.start(
    ["frame", "data"],
    presetButtons(view) ?? "",
    controls(button, frame),
    make("div", { class: "mm-tracks" }, ...grids.map(({ figure }) => figure)),
    make("div", {}, ...rows),
    plot,
  );
}

// Pictures in a row: near the square root of their number, and full rows if there are any such.
function columns(count) {
  const root = Math.ceil(Math.sqrt(count));
  for (let wide = root; wide <= 1.5 * root; wide++) if (count % wide === 0) return wide;
  return root;
}

// Where an axis starts and ends: at 0 when the values come near it, never of length 0.
function span(low, high) {
  const start = low >= 0 && low < 0.5 * high ? 0 : low;
  return high > start ? [start, high] : [start - 0.5, start + 0.5];
}

export { columns, span };
export default { render };
