// One picture at several levels of a change: the right class's share by each of several prompts.

async function render({ model, el }) {
  const view = widget({ model, el }, "Prompt comparison");
  const [prompts, pictures, steps, classes, height, width] = view.get("shape");
  const count = prompts * pictures * steps * classes;
  const data = view.get("data");
  const known = halves(data, 0, count);
  const file = new Blob([bytes(data).subarray(2 * count)], { type: "image/webp" });
  const all = await createImageBitmap(file);
  const [called, levels, dial] = [view.get("prompts"), view.get("levels"), view.get("dial")];
  const [names, targets, titles] = [view.get("names"), view.get("targets"), view.get("titles")];
  const row = (prompt, picture, level) => {
    const start = ((prompt * pictures + picture) * steps + level) * classes;
    return known.subarray(start, start + classes);
  };

  const canvas = make("canvas", { class: "mm-pixels", width, height, role: "img" });
  const caption = make("div", { class: "mm-named" });
  const graph = chart((level) => view.set({ level }));
  const items = called.map((name, style) => make("li", {}, swatch(style), name));
  const title = make("p", { class: "mm-title" });
  const tops = make("ol", { class: "mm-choices" });

  view.draw = () => {
    const [picture, prompt, level] = [view.get("picture"), view.get("prompt"), view.get("level")];
    const target = targets[picture];
    const [x, y] = [level * width, picture * height];
    canvas.getContext("2d").drawImage(all, x, y, width, height, 0, 0, width, height);
    caption.textContent = `${titles[picture]}, ${dial.toLowerCase()} ${levels[level]}`;
    canvas.setAttribute("aria-label", `Picture ${picture + 1}: ${caption.textContent}`);
    // The chosen prompt's curve lies on top.
    const series = called
      .map((_, style) => ({ style, values: levels.map((_, i) => row(style, picture, i)[target]) }))
      .sort((a, b) => (a.style === prompt) - (b.style === prompt));
    const text = `Share of the right class, ${names[picture][target]}, over ${dial} ${levels[0]} to ${levels[steps - 1]}, by ${called.join(", ")}; on top ${called[prompt]}, marked ${levels[level]}`;
    const axes = { low: 0, high: 1, ticks: [0, 0.5, 1], x: "", y: `share of the right class, by ${dial.toLowerCase()}` };
    graph.show({ series, at: level, ...axes, marks: levels.map(String), text, height: 200 });
    items.forEach((item, i) => item.classList.toggle("mm-now", i === prompt));
    title.textContent = `What ${called[prompt]} says`;
    const shares = row(prompt, picture, level);
    tops.replaceChildren(
      ...largest(shares, 4).map(([place, share]) =>
        make(
          "li",
          { class: place === target ? "mm-right" : "" },
          make("span", {}, `${place === target ? "✓ " : ""}${names[picture][place]}`),
          make("span", { class: "mm-part" }, make("i", { style: `width:${Math.max(100 * share, 1)}%` })),
          make("b", {}, percent(share)),
        ),
      ),
    );
    const right = called.map((_, i) => row(i, picture, level)[target]);
    view.say(sentence(dial, levels[level], picture, called, prompt, shares, names[picture], target, right));
  };

  const list = (words) => words.map((word, i) => [i, word]);
  const slide = slider(view, "level", { label: dial, max: steps - 1, format: (i) => String(levels[i]) });
  return view.start(
    ["picture", "prompt", "level"],
    presetButtons(view) ?? "",
    controls(
      choice(view, "picture", { label: "Picture", options: list(titles.map((t, i) => `${i + 1}: ${t}`)) }),
      choice(view, "prompt", { label: "Prompt", options: list(called) }),
      slide,
    ),
    make(
      "div",
      { class: "mm-split" },
      make("div", {}, make("ul", { class: "mm-legend mm-prompts" }, ...items), make("div", {}, graph.node)),
      make("div", { class: "mm-lit" }, canvas, caption),
    ),
    title,
    tops,
  );
}

const percent = (share) => `${tenth(100 * share)} %`;

function sentence(dial, level, picture, prompts, prompt, shares, names, target, right) {
  const [[best, share]] = largest(shares, 1);
  const verdict = best === target ? "the right one" : `not ${names[target]}`;
  const first = `${dial} ${level}, picture ${picture + 1}: ${prompts[prompt]} takes it for ${names[best]}, ${verdict}, with ${percent(share)}.`;
  const all = right.map((one, i) => `${percent(one)} from ${prompts[i]}`).join(", ");
  return `${first} The right class gets ${all}.`;
}

export { percent, sentence };
export default { render };
