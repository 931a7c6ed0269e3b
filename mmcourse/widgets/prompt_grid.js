// What a model draws for a few prompts: a picture for each starting noise, from step to step.

async function render({ model, el }) {
  const view = widget({ model, el }, "Prompt grid");
  const [, noises, steps, , height, width] = view.get("shape");
  const [prompts, labels] = [view.get("prompts"), view.get("labels")];
  const last = steps - 1;
  const file = new Blob([bytes(view.get("data"))], { type: "image/webp" });
  const all = await createImageBitmap(file);
  const now = () => clamp(view.get("step"), 0, last);
  const go = (step) => view.set({ step });
  const canvas = (traits) => make("canvas", { class: "mm-pixels", width, height, ...traits });
  const draw = (node, noise, step) => {
    const [x, y] = [(noise * steps + step) * width, view.get("prompt") * height];
    node.getContext("2d").drawImage(all, x, y, width, height, 0, 0, width, height);
  };

  const large = Array.from({ length: noises }, (_, noise) => {
    const picture = canvas({ role: "img" });
    const caption = make("figcaption", {}, make("b", {}, `noise ${noise + 1}`), make("span"));
    return { picture, caption, figure: make("figure", {}, picture, caption) };
  });
  const films = large.map(() => {
    const frames = Array.from({ length: steps }, (_, step) => canvas({ "aria-hidden": "true" }));
    frames.forEach((frame, step) => frame.addEventListener("click", () => go(step)));
    return { frames, node: make("div", { class: "mm-film", role: "img" }, ...frames) };
  });

  view.draw = () => {
    const [step, prompt] = [now(), view.get("prompt")];
    const judged = step === last ? (view.get("verdicts")[prompt] ?? []) : [];
    large.forEach(({ picture, caption }, noise) => {
      draw(picture, noise, step);
      const verdict = judged[noise] ? `, ${judged[noise]}` : "";
      picture.setAttribute("aria-label", `“${prompts[prompt]}” from noise ${noise + 1} at ${labels[step]}${verdict}`);
      caption.lastChild.textContent = judged[noise] ?? "";
      films[noise].frames.forEach((frame, i) => {
        draw(frame, noise, i);
        frame.classList.toggle("mm-on", i === step);
      });
      const text = `“${prompts[prompt]}” from noise ${noise + 1}, from ${labels[0]} to ${labels[last]}`;
      films[noise].node.setAttribute("aria-label", text);
    });
    view.say(sentence(prompts[prompt], labels[step], noises, judged));
  };

  const button = player(view, { now, go, last, pace: 6000 / steps });
  const slide = slider(view, "step", { label: "Step", max: last, format: (step) => labels[step] });
  slide.classList.add("mm-wide");
  const options = prompts.map((prompt, i) => [i, prompt]);
  const rows = films.map(({ node }, noise) =>
    make("div", { class: "mm-way" }, make("span", { "aria-hidden": "true" }, noise + 1), node),
  );
  return view.start(
    ["prompt", "step"],
    presetButtons(view) ?? "",
    controls(choice(view, "prompt", { label: "Prompt", options })),
    controls(button, slide),
    make("div", { class: "mm-drawn" }, ...large.map(({ figure }) => figure)),
    make("div", { class: "mm-ways" }, ...rows),
  );
}

function sentence(prompt, label, noises, judged) {
  const said = `“${prompt}” at ${label}, ${noises} noises`;
  const parts = judged.map((verdict, i) => `noise ${i + 1}: ${verdict}`);
  return parts.length ? `${said}; ${parts.join(", ")}.` : `${said}.`;
}

export { sentence };
export default { render };
